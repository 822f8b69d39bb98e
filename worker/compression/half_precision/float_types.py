"""After the last step: floats go back to the types that the upload has them in (`in_float32`).

- What computed in float16 does so again, unless a step quantized: what then is left of the floats stays float32 and its
  weights are stored in float16, as the weights of an upload that only stores them so. No file grows by that.
- float64 and bfloat16 arithmetic stays float32: it is as near as steps work, and runtimes have it.
- Inputs and outputs take and answer what they did, with a Cast.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as passes

from winnow.contract.errors import Refusal
from winnow.contract.recipe import AnyStep, BFloat16, Distillation, Float16
from worker.compression.graph.facts.facts import is_quantized
from worker.compression.graph.nodes.weights import dtype_name, layers
from worker.compression.graph.normal_form.in_float32 import FLOAT, FloatTypes, float_types_note
from worker.compression.half_precision.bfloat16 import store_as
from worker.compression.half_precision.casting import insert_cast, max_finite
from worker.compression.half_precision.float16 import float16_nodes
from worker.compression.half_precision.float16_converter import Converter
from worker.compression.half_precision.float16_ports import FLOAT32_OPERATORS
from worker.compression.ir.naming import Names

MIN_ELEMENTS: Final = 32
"""Elements of a constant: a Cast in a compact file takes about the 64 bytes that fewer of them save."""
HALVES: Final = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def check_types(model: ir.Model, types: FloatTypes, steps: Sequence[AnyStep]) -> None:
    """Refuse steps that store weights in 16 bits where all are. Raises `Refusal` `nothing_to_quantize`."""
    if any(weight.value.name in types.wide_weights for _, weights in layers(model) for weight in weights):
        return
    for step in steps:
        if isinstance(step, Distillation) and step.student is not None:
            return
        halves = isinstance(step, Float16) and types.computed == ir.DataType.FLOAT16
        if halves or (isinstance(step, BFloat16) and types.stored in HALVES):
            kind = dtype_name(types.stored or types.computed or FLOAT)
            raise Refusal(
                "nothing_to_quantize",
                f"The model's weights are {kind} already: {step.kind} would not make it smaller. Leave the step out.",
            )


def restore_float_types(model: ir.Model, types: FloatTypes) -> list[str]:
    """Turn the model's floats back, in place, into what the upload has; returns notes for the report."""
    if types.stored is None:
        return []
    notes, halves = [float_types_note(types)], {}
    if types.computed == ir.DataType.FLOAT16 and not is_quantized(model):
        halves = _compute_in_half(model, types)
        notes.append("The artifact computes in float16, as the upload does.")
    if types.stored in HALVES and (count := _store_weights(model, types, halves)):
        notes.append(
            f"{count} weights that stay float are stored in {dtype_name(types.stored)}, as in the upload."
        )
    if types.computed == ir.DataType.DOUBLE:
        notes.append("The artifact computes in float32 where the upload computes in float64.")
    _cast_signature(model, types)
    return notes


def _compute_in_half(model: ir.Model, types: FloatTypes) -> dict[ir.Value, ir.Value]:
    """Convert every node that can be, but for those that were float32. Returns the float16 forms of float32 values."""
    halves, _ = float16_nodes(model, [], types.wide_weights)
    halves = {node: ports for node, ports in halves.items() if node.name not in types.wide_nodes}
    signature = {**types.inputs, **types.outputs}
    narrowed = Converter(model, halves).convert(
        frozenset(n for n, kind in signature.items() if kind == ir.DataType.FLOAT16)
    )
    passes.RemoveUnusedNodesPass()(model)
    return narrowed


def _store_weights(model: ir.Model, types: FloatTypes, halves: dict[ir.Value, ir.Value]) -> int:
    """Store the layers' weights in the upload's type, and other constants that are numbers of it; returns how many.

    `halves`: float16 forms that the graph has already.
    """
    assert types.stored is not None
    largest = float(np.finfo(np.float16).max) if types.stored == ir.DataType.FLOAT16 else np.inf
    of_layers = {weight.value for _, weights in layers(model) for weight in weights}
    names, count = Names(model), 0
    for graph in list(model.graphs()):
        for value in list(graph.initializers.values()):
            if _is_storable(value, types, largest if value in of_layers else None):
                store_as(types.stored, value, names, halves.get(value))
                count += 1
    return count


def _is_storable(value: ir.Value, types: FloatTypes, largest: float | None) -> bool:
    """`largest`: the magnitude up to which numbers may be rounded; None where they must not change."""
    tensor = value.const_value
    if (
        tensor is None
        or tensor.dtype != FLOAT
        or tensor.size < MIN_ELEMENTS
        or value.name in types.wide_weights
    ):
        return False
    if value.is_graph_output() or any(use.node.op_type in FLOAT32_OPERATORS for use in value.uses()):
        return False
    array = tensor.numpy()
    if largest is None:
        return _is_lossless(array, types)
    return max_finite(array) <= largest


def _is_lossless(array: NDArray[Any], types: FloatTypes) -> bool:
    assert types.stored is not None
    with np.errstate(over="ignore"):
        return bool(
            np.array_equal(array.astype(types.stored.numpy()).astype(array.dtype), array, equal_nan=True)
        )


def _cast_signature(model: ir.Model, types: FloatTypes) -> None:
    """Put Casts behind inputs and before outputs that are float32 now and were not."""
    graph, names = model.graph, Names(model)
    for value in graph.inputs:
        kind = types.inputs.get(str(value.name))
        if kind is None or value.dtype != FLOAT:
            continue
        uses = list(value.uses())
        value.type = ir.TensorType(kind)
        wide = insert_cast(graph, value, FLOAT, names.fresh(f"{value.name}_float32"), names)
        for use in uses:
            use.node.replace_input_with(use.idx, wide)
    for index, value in enumerate(graph.outputs):
        kind = types.outputs.get(str(value.name))
        if kind is None or value.dtype != FLOAT:
            continue
        name = str(value.name)
        value.name = names.fresh(f"{name}_float32")
        graph.outputs[index] = insert_cast(graph, value, kind, name, names)
