"""Gives each layer a weight of few values: the step that `palette` and `binary` have in common."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Binary, Palette
from worker.compression.ir.arrays import Array
from worker.compression.ir.mapped_tensors import spill_for
from worker.compression.ir.naming import Names
from worker.compression.layers.linear import Linear
from worker.compression.quantization.weights.eligibility import (
    decide,
    first_readers,
    name_twins,
    weight_layers,
)
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import refuse_quantized, step_result
from worker.compression.steps.opset import raised
from worker.compression.weight_storage.codebook_weights import CodebookWriter

OPSET: Final = 11
"""The first with the operators that codes are unpacked by."""
NODE_BYTES: Final = 350
"""What the nodes of a layer take in the file, about: those of its codes and those that unpack them."""
FOR_SIZE: Final = (
    "This is for the size of the file: ONNX Runtime makes the weights floats when it loads the model, which then runs "
    "as the float model does; loading takes longer."
)


def store_few_values(
    model: ir.Model,
    step: Palette | Binary,
    context: Context,
    bits: int,
    row_bytes: int,
    fixed_bytes: int,
    store: Callable[[Linear, CodebookWriter], dict[str, Any]],
    details: dict[str, object] | None = None,
) -> StepResult:
    """Lets `store` write each layer and answer its row of the report. A code takes `bits`, besides `row_bytes` for each
    output and `fixed_bytes`.

    Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `step_failed`."""
    refuse_quantized(model)
    model, notes = raised(model, OPSET, f"unpacking {'signs' if step.kind == 'binary' else 'a palette'}")
    layers = weight_layers(model)
    decisions = decide(
        layers,
        step.layers,
        step.exclude,
        lambda layer: math.prod(layer.rows) * bits / 8 + layer.rows[0] * row_bytes + fixed_bytes + NODE_BYTES,
    )
    wanted = "Conv, Gemm or MatMul with a float32 weight"
    result = step_result(model, decisions, wanted, [*notes, FOR_SIZE], details)
    rows = {str(row["name"]): row for row in result.details["layers"]}
    writer = CodebookWriter(model, Names(model).fresh, spill_for(model, context.scratch))
    chosen = first_readers(layers, decisions)
    name_twins(chosen, rows)
    for number, layer in enumerate(chosen, 1):
        assert layer.linear is not None
        rows[layer.linear.name].update(store(layer.linear, writer))
        context.progress.advance(number / len(chosen))
    return result


def per_output(layer: Linear, array: Array) -> Array:
    """One value for each output ([out]) in a shape that broadcasts with the layer's weight as it is stored."""
    groups, out, inner = layer.shape
    spread = np.broadcast_to(array.reshape(groups, out, 1), (groups, out, inner))
    stored = layer.stored(spread)
    if layer.node.op_type == "Conv" or layer.outputs_first:
        return np.ascontiguousarray(stored[(slice(None), *[slice(0, 1)] * (stored.ndim - 1))])
    return np.ascontiguousarray(stored[:1])


@dataclass
class RelativeError:
    """‖after - before‖ / ‖before‖ of what was added, part by part; 0 where there is nothing."""

    lost: float = 0.0
    size: float = 0.0

    def add(self, before: Array, after: Array) -> None:
        exact = before.astype(np.float64)
        self.size += float((exact**2).sum())
        self.lost += float(((after - exact) ** 2).sum())

    @property
    def value(self) -> float:
        return math.sqrt(self.lost / self.size) if self.size > 0 else 0.0


def relative_error(before: Array, after: Array) -> float:
    """Of two arrays that are in memory."""
    error = RelativeError()
    error.add(before, after)
    return error.value
