"""`bfloat16`: weights stored in bfloat16, arithmetic as before.

    w  ─►  bfloat16(w), to the nearest, ties to even  ─►  Cast to float32  ─►  every reader of w

Runtimes have next to no bfloat16 kernels: ONNX Runtime's CPU has Cast and what moves data, but neither Add, MatMul nor
Conv. With a Cast the file runs wherever opset 13 does, at half the size; ONNX Runtime computes the Cast once, when it
loads the model. The range is float32's, so that nothing overflows, and precision is 8 bits: a relative error of 2⁻⁹ at
most. (Wang & Kanwar, BFloat16: the secret to high performance on Cloud TPUs, 2019; Kalamkar et al. 2019.)
"""

from typing import Final

import onnx_ir as ir

from winnow.contract.recipe import BFloat16
from worker.compression.graph.nodes.weights import dtype_name
from worker.compression.half_precision.casting import MAX_BFLOAT16, insert_cast, max_finite
from worker.compression.half_precision.float16_ports import FLOAT32_OPERATORS
from worker.compression.ir.edit import new_constant, registered
from worker.compression.ir.mapped_tensors import MappedTensors, release, spill_for
from worker.compression.ir.naming import Names, excluded
from worker.compression.ir.values import all_nodes, array_of, tensor_of
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import LayerDecision, step_result
from worker.compression.steps.eligibility import EXCLUDED, IS_OUTPUT
from worker.compression.steps.opset import raised

OPSET: Final = 13
MIN_ELEMENTS: Final = 128
"""Elements of a weight: a Cast with its names takes the bytes that fewer of them save."""
TOO_FEW: Final = f"fewer than {MIN_ELEMENTS} elements: the Cast would take more bytes than it saves"


def bfloat16(model: ir.Model, step: BFloat16, context: Context) -> StepResult:
    """Store weights in bfloat16, in place.

    Raises `Refusal` `nothing_to_quantize`, `step_failed` when the opset cannot be raised.
    """
    model, notes = raised(model, OPSET, "a Cast from bfloat16")
    ineligible = {v: why for v in _weights(model) if (why := _why_ineligible(v, step.exclude)) is not None}
    layers = [
        LayerDecision(node, reason, reason == TOO_FEW and _has_matrix(node))
        for node, reason in _reasons(model, ineligible)
    ]
    result = step_result(model, layers, f"float32 weights of {MIN_ELEMENTS} or more elements", notes)
    names = Names(model)
    stored = [value for value in _weights(model) if value not in ineligible]
    spill = spill_for(model, context.scratch)
    for done, value in enumerate(stored, 1):
        store_as(ir.DataType.BFLOAT16, value, names, spill=spill)
        context.progress.advance(done / len(stored))
    return result


def _weights(model: ir.Model) -> list[ir.Value]:
    constants = (v for graph in model.graphs() for v in graph.initializers.values())
    return [v for v in constants if v.dtype == ir.DataType.FLOAT and v.uses()]


def _reasons(model: ir.Model, ineligible: dict[ir.Value, str]) -> list[tuple[ir.Node, str | None]]:
    """List the nodes with weights: None where one of them is stored in bfloat16, else why none is."""
    reasons_by_node = []
    for node in all_nodes(model):
        weights = [
            v for v in node.inputs if v is not None and v.is_initializer() and v.dtype == ir.DataType.FLOAT
        ]
        if weights:
            reasons = [ineligible.get(value) for value in weights]
            reasons_by_node.append((node, None if None in reasons else reasons[0]))
    return reasons_by_node


def _has_matrix(node: ir.Node) -> bool:
    """Whether one of its weights has two axes or more: a bias alone is nothing to compress."""
    weights = [v.const_value for v in node.inputs if v is not None and v.dtype == ir.DataType.FLOAT]
    return any(weight is not None and len(weight.shape) > 1 for weight in weights)


def _why_ineligible(value: ir.Value, patterns: list[str]) -> str | None:
    readers = [use.node for use in value.uses()]
    if any(excluded(node, patterns) for node in readers):
        return EXCLUDED
    if any(node.op_type in FLOAT32_OPERATORS for node in readers):
        return "a scale of quantization keeps its precision"
    if value.is_graph_output():
        return IS_OUTPUT
    if tensor_of(value).size < MIN_ELEMENTS:
        return TOO_FEW
    largest = max_finite(array_of(value))
    release(value)
    if largest > MAX_BFLOAT16:
        return f"a weight exceeds {MAX_BFLOAT16:.4g}, the largest bfloat16"
    return None


def store_as(
    dtype: ir.DataType,
    value: ir.Value,
    names: Names,
    small: ir.Value | None = None,
    spill: MappedTensors | None = None,
) -> None:
    """Replace a weight by one rounded to `dtype` and a Cast of it.

    `small`: the rounded weight, where the graph has it already; else it goes through `spill`, where there is one.
    """
    graph = value.graph
    assert graph is not None
    if small is None:
        name = names.fresh(f"{value.name}_{dtype_name(dtype)}")
        rounded = array_of(value).astype(dtype.numpy())
        release(value)
        small = (
            new_constant(graph, name, rounded)
            if spill is None
            else registered(graph, spill.append(name, rounded))
        )
    wide = insert_cast(graph, small, ir.DataType.FLOAT, names.fresh(f"{value.name}_float32"), names)
    for use in value.uses():
        use.node.replace_input_with(use.idx, wide)
    del graph.initializers[str(value.name)]
