"""`weight_only`: stores weights in 8, 4, 3 or 2 bits with a scale for each block of inputs; activations stay float.

One layer at a time: its weight is read from the file, rounded (`block_affine`, `gptq`), packed, and
written to a file of the step's own, from which it stays mapped: any model needs the memory of its largest layer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import WeightOnly
from worker.compression.ir.arrays import Array
from worker.compression.ir.mapped_tensors import MappedTensors, release
from worker.compression.ir.operator_sets import MATMULS_CONV_AND_GATHER
from worker.compression.ir.values import tensor_of
from worker.compression.layers.input_moments import Moments, moments
from worker.compression.layers.linear import Linear, is_observable
from worker.compression.quantization.weights import bit_unpacking
from worker.compression.quantization.weights.block_affine import Fitted, Grid, fit_range
from worker.compression.quantization.weights.eligibility import (
    WeightLayer,
    decide,
    first_readers,
    name_twins,
    weight_layers,
)
from worker.compression.quantization.weights.gptq import GptqRounder, dead_inputs
from worker.compression.quantization.weights.hqq import fit_hqq
from worker.compression.quantization.weights.nbits_writer import NBitsWriter, Quantized
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import LayerDecision, changed_nodes, refuse_quantized, step_result
from worker.compression.steps.opset import raised

OPSET_BLOCKS: Final = 21
"""The first opset whose DequantizeLinear has blocks and 4-bit integers."""
MAX_WEIGHTS_AT_ONCE: Final = 1 << 17
"""Weights of one layer that are rounded at once; what is computed on the way takes about fifty bytes for each."""
NODE_BYTES: Final = 300
"""What the nodes of a quantized layer take in the file, about."""


def weight_only(model: ir.Model, step: WeightOnly, context: Context) -> StepResult:
    """Store weights in few bits, in place.

    Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `missing_data`, `not_finite`, `model_does_not_run`,
    `step_failed`.
    """
    refuse_quantized(model)
    if step.method == "gptq" and context.calibration is None:
        raise Refusal("missing_data", "weight_only by gptq needs calibration data.", field="data.calibration")
    model, notes = _raised(model, step)
    layers = weight_layers(model)
    decisions = _decisions(layers, step)
    result = step_result(
        model,
        decisions,
        "MatMul, Gemm, Conv or Gather with a float32 weight",
        notes,
        {"bits": step.bits, "block": step.block, "symmetric": step.symmetric, "method": step.method},
    )
    rows = {str(row["name"]): row for row in result.details["layers"]}
    writer = NBitsWriter(model, MappedTensors(context.scratch / "weights.data"))
    chosen = first_readers(layers, decisions)
    name_twins(chosen, rows)
    if step.method == "gptq":
        result.notes.extend(_rounded_blindly(chosen, model))
    for rounded in _rounded(chosen, model, step, context):
        release(rounded.layer.weight)
        rows[str(rounded.layer.node.name)].update(_written(rounded, writer))
    return result


@dataclass(frozen=True)
class Rounded:
    """A layer's codes; relative errors of the weight and, where its inputs are known, of its output."""

    layer: WeightLayer
    result: Quantized
    weight_error: float
    output_error: float | None
    dead_inputs: int


def _rounded_blindly(layers: list[WeightLayer], model: ir.Model) -> list[str]:
    """That GPTQ knows nothing of what reaches some products."""
    inside = [
        layer.linear.name for layer in layers if layer.linear is not None and not _is_observed(layer, model)
    ]
    if not inside:
        return []
    return [
        f"Rounded without data, as subgraphs read their weights, which are not observed: {', '.join(inside)}."
    ]


def _raised(model: ir.Model, step: WeightOnly) -> tuple[ir.Model, list[str]]:
    kinds = {node.op_type for node in changed_nodes(_decisions(weight_layers(model), step))}
    if "Conv" in kinds:
        return raised(model, OPSET_BLOCKS, "quantization in blocks")
    if step.bits == 3 and kinds:
        return raised(model, bit_unpacking.OPSET, "unpacking a weight of 3 bits")
    return model, []


def _decisions(layers: list[WeightLayer], step: WeightOnly) -> list[LayerDecision]:
    def stored_bytes(rows: int, inner: int) -> float:
        scales = rows * -(-inner // (step.block or inner))
        return rows * inner * step.bits / 8 + scales * (4 if step.symmetric else 5) + NODE_BYTES

    return decide(
        layers, step.layers, step.exclude, stored_bytes, MATMULS_CONV_AND_GATHER, _why_no_nbits_product
    )


def _why_no_nbits_product(layer: Linear) -> str | None:
    """MatMulNBits takes no vectors."""
    return "its input is a single vector" if any(map(_multiplies_a_vector, layer.readers)) else None


def _multiplies_a_vector(layer: Linear) -> bool:
    data = layer.node.inputs[0]
    return (
        layer.node.op_type == "MatMul" and data is not None and data.shape is not None and len(data.shape) < 2
    )


def _rounded(
    layers: list[WeightLayer], model: ir.Model, step: WeightOnly, context: Context
) -> Iterator[Rounded]:
    """Round all layers, each when the one before is written. With GPTQ the sums are those of the float model."""
    fitted = [layer for layer in layers if step.method == "gptq" and _is_observed(layer, model)]
    if fitted:
        lines = [layer.linear for layer in fitted if layer.linear is not None]
        for layer, (_, sums) in zip(fitted, _moments(model.clone(), lines, step, context), strict=True):
            yield _round(layer, sums, step)
    rest = [layer for layer in layers if layer not in fitted]
    for number, layer in enumerate(rest):
        yield _round(layer, None, step)
        context.progress.advance((len(fitted) + number + 1) / len(layers))


def _is_observed(layer: WeightLayer, model: ir.Model) -> bool:
    return layer.linear is not None and is_observable(layer.linear, model)


def _moments(
    model: ir.Model, layers: list[Linear], step: WeightOnly, context: Context
) -> Iterator[tuple[Linear, Moments]]:
    assert context.calibration is not None
    samples = context.calibration.draw(step.samples, context.seed)
    return moments(model, layers, samples, context.progress.advance, context.shared)


def _round(layer: WeightLayer, sums: Moments | None, step: WeightOnly) -> Rounded:
    grid, inner = Grid(step.bits, step.symmetric), layer.rows[1]
    block = min(step.block or inner, inner)
    fit = fit_range if step.method == "rtn" else fit_hqq
    error = _Error()
    parts: list[tuple[Array, Fitted]] = []
    for group, matrix in enumerate(layer.matrix()):
        hessian = None if sums is None else sums.hessian[group]
        rounder = None if hessian is None else GptqRounder(hessian, step.act_order)
        for w in _row_slices(matrix):
            fitted = fit(w, grid, block)
            scale, zero = fitted.spread(inner)
            codes = (
                grid.codes(w, scale, zero).astype(np.uint8)
                if rounder is None
                else rounder.codes(w, grid, fitted)
            )
            error.add(w, w - scale * (codes - zero), hessian)
            parts.append((codes, fitted))
    result = Quantized(
        np.concatenate([codes for codes, _ in parts]),
        Fitted(
            np.concatenate([fitted.scale for _, fitted in parts]),
            np.concatenate([fitted.zero for _, fitted in parts]),
            block,
        ),
        grid,
    )
    dead = 0 if sums is None else int(sum(dead_inputs(hessian).sum() for hessian in sums.hessian))
    return Rounded(layer, result, error.of_weight, error.of_output, dead)


def _row_slices(matrix: Array) -> Iterator[Array]:
    count = max(1, MAX_WEIGHTS_AT_ONCE // matrix.shape[1])
    for begin in range(0, len(matrix), count):
        yield matrix[begin : begin + count]


@dataclass
class _Error:
    """Sums of squares over the rows of a layer."""

    weight: float = 0.0
    weight_before: float = 0.0
    output: float = 0.0
    output_before: float = 0.0

    def add(self, w: Array, error: Array, hessian: Array | None) -> None:
        self.weight += float((error.astype(np.float64) ** 2).sum())
        self.weight_before += float((w.astype(np.float64) ** 2).sum())
        if hessian is not None:
            self.output += float(((error @ hessian) * error).sum())
            self.output_before += float(((w @ hessian) * w).sum())

    @property
    def of_weight(self) -> float:
        return _root(self.weight, self.weight_before)

    @property
    def of_output(self) -> float | None:
        return _root(self.output, self.output_before) if self.output_before > 0 else None


def _root(after: float, before: float) -> float:
    return float(np.sqrt(max(after, 0.0) / before)) if before > 0 else 0.0


def _written(rounded: Rounded, writer: NBitsWriter) -> dict[str, Any]:
    """Writes the layer, and reports what that cost."""
    layer, result = rounded.layer, rounded.result
    before = tensor_of(layer.weight).nbytes
    stored_as, after = writer.write(layer.nodes, layer.weight, result)
    return {
        "bits": result.grid.bits,
        "block": result.fitted.block,
        "weight_error": rounded.weight_error,
        "output_error": rounded.output_error,
        "dead_inputs": rounded.dead_inputs,
        "bytes_before": before,
        "bytes_after": after,
        "stored_as": stored_as,
    }
