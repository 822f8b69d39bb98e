"""Takes normalisations apart that ONNX Runtime has fused: streams are seen again, and all operators are ONNX's own.

    SkipLayerNormalization(x, skip, γ, β, bias)        →  s = x + (skip + bias);  LayerNormalization(s, γ, β)
    SkipSimplifiedLayerNormalization(x, skip, γ, bias) →  s = x + (skip + bias);  RMS(s, γ)
    SimplifiedLayerNormalization(x, γ)                 →  RMS(x, γ) = γ · x / √(mean x² + ε), in float32 up to γ

The bias was that of a MatMul, of which ONNX Runtime makes `skip` or x: it is added there, so that what is left of x is
the stream. s is the fourth output. A node of which the statistics are read stays; so does SkipLayerNormalization before
opset 17, which has no LayerNormalization. ONNX Runtime fuses RMS again when it loads the model, the sum in front not.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.edit import GraphEdit, put_in_place
from worker.compression.ir.operator_sets import MATMULS
from worker.compression.ir.values import OTHER_FLOATS

HAS_LAYER_NORMALIZATION: Final = 17
AXES_ARE_INPUTS: Final = 18
"""The opset from which on ReduceMean reads its axes."""
SKIP_LAYER: Final = ("com.microsoft", "SkipLayerNormalization")
SKIP_RMS: Final = ("com.microsoft", "SkipSimplifiedLayerNormalization")
RMS: Final = ("", "SimplifiedLayerNormalization")
SKIP_EPSILON: Final = 1e-12
EPSILON: Final = 1e-5
"""ONNX Runtime's own, where a node says none."""
X, SKIP, SCALE = range(3)
NORMALISED, SUM = 0, 3
FLOAT: Final = ir.DataType.FLOAT


class TakeNormsApart(ir.passes.InPlacePass):
    """Write every fused normalisation in operators of ONNX's own."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        edit, opset, single = GraphEdit(model), opset_of(model), _is_single(model)
        nodes = ir.traversal.RecursiveGraphIterator(model.graph)
        fused = [node for node in nodes if _can_be_taken_apart(node, opset)]
        for node in fused:
            if _kind(node) == RMS:
                x = node.inputs[X]
                is_wide = x is not None and (x.dtype == FLOAT or (x.dtype is None and single))
                _put(node, _rms(edit, node, x, EPSILON, opset, is_wide=is_wide), None)
            else:
                _take_skip_apart(edit, node, opset)
        return ir.passes.PassResult(model, modified=bool(fused))


def _kind(node: ir.Node) -> tuple[str, str]:
    """Its domain, "" for ONNX's own, and its operator; files have the last of ours in either domain."""
    own = node.domain == "ai.onnx" or (node.op_type == RMS[1] and node.domain == SKIP_RMS[0])
    return ("" if own else node.domain, node.op_type)


def _can_be_taken_apart(node: ir.Node, opset: int) -> bool:
    kind = _kind(node)
    if kind not in (SKIP_LAYER, SKIP_RMS, RMS):
        return False
    if any(value.uses() or value.is_graph_output() for value in node.outputs[NORMALISED + 1 : SUM]):
        return False
    if kind == SKIP_LAYER:
        return opset >= HAS_LAYER_NORMALIZATION
    gain = node.inputs[SCALE if kind == SKIP_RMS else 1]
    return gain is not None and gain.dtype is not None and _first_axis(node) is not None


def _take_skip_apart(edit: GraphEdit, node: ir.Node, opset: int) -> None:
    inputs = [*node.inputs, None, None][:5]
    shift, bias = (inputs[3], inputs[4]) if _kind(node) == SKIP_LAYER else (None, inputs[3])
    out, nodes = str(node.outputs[NORMALISED].name), list[ir.Node]()
    if bias is not None:
        place = X if _is_product(inputs[X]) else SKIP
        nodes.append(edit.new_node("Add", [inputs[place], bias], f"{out}_biased"))
        inputs[place] = nodes[-1].outputs[0]
    nodes.append(edit.new_node("Add", inputs[: SKIP + 1], f"{out}_sum"))
    total = nodes[-1].outputs[0]
    if _kind(node) == SKIP_LAYER:
        attributes = {"axis": -1, "epsilon": node.attributes.get_float("epsilon", SKIP_EPSILON)}
        read = [total, inputs[SCALE], *([] if shift is None else [shift])]
        nodes.append(edit.new_node("LayerNormalization", read, f"{out}_normalised", attributes))
    else:
        gain = inputs[SCALE]  # all that it reads is of its type
        is_wide = gain is not None and gain.dtype == FLOAT
        nodes += _rms(edit, node, total, SKIP_EPSILON, opset, is_wide=is_wide)
    _put(node, nodes, total)


def _is_single(model: ir.Model) -> bool:
    """Whether all floats that it reads, or casts to, are float32: then so are those of an unknown type."""
    read = (value for graph in model.graphs() for value in (*graph.inputs, *graph.initializers.values()))
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    casts = (
        attribute.value for node in nodes for attribute in node.attributes.values() if attribute.name == "to"
    )
    return not any(dtype in OTHER_FLOATS for dtype in (*(value.dtype for value in read), *casts))


def _first_axis(node: ir.Node) -> int | None:
    """The first axis of the mean, counted from the last, -1; None where that is not known."""
    axis, x = node.attributes.get_int("axis", -1), node.inputs[X]
    if axis < 0:
        return axis
    return None if x is None or x.shape is None else axis - len(x.shape)


def _rms(
    edit: GraphEdit, node: ir.Node, x: ir.Value | None, default_epsilon: float, opset: int, *, is_wide: bool
) -> list[ir.Node]:
    """γ · x / √(mean x² + ε). The square of what may be no float32 (`is_wide`) could overflow: it is cast."""
    out, gain = str(node.outputs[NORMALISED].name), node.inputs[SCALE if _kind(node) == SKIP_RMS else 1]
    first = _first_axis(node)
    assert x is not None
    assert gain is not None
    assert first is not None
    axes = list(range(first, 0))
    epsilon = node.attributes.get_float("epsilon", default_epsilon)
    nodes = list[ir.Node]()

    def add(operator: str, inputs: Sequence[ir.Value], name: str, **attributes: object) -> ir.Value:
        nodes.append(edit.new_node(operator, inputs, f"{out}_{name}", attributes))
        return nodes[-1].outputs[0]

    def number(value: float, name: str) -> ir.Value:
        return edit.new_constant(f"{out}_{name}", np.array(value, np.float32))

    wide = x if is_wide else add("Cast", [x], "wide", to=FLOAT.value)
    square = add("Pow", [wide, number(2.0, "two")], "square")
    if opset < AXES_ARE_INPUTS:
        mean = add("ReduceMean", [square], "mean", axes=axes, keepdims=1)
    else:
        along = edit.new_constant(f"{out}_axes", np.array(axes, np.int64))
        mean = add("ReduceMean", [square, along], "mean", keepdims=1)
    root = add("Sqrt", [add("Add", [mean, number(epsilon, "epsilon")], "moment")], "root")
    normal = add("Div", [wide, root], "normal")
    if gain.dtype != FLOAT:
        assert gain.dtype is not None
        normal = add("Cast", [normal], "narrow", to=gain.dtype.value)
    add("Mul", [normal, gain], "normalised")
    return nodes


def _put(node: ir.Node, nodes: list[ir.Node], total: ir.Value | None) -> None:
    """Put nodes in a node's place: the last computes what it answers, `total` its sum."""
    results = [(node.outputs[NORMALISED], nodes[-1].outputs[0])]
    results += [(value, total) for value in node.outputs[SUM:] if total is not None]
    put_in_place(node, nodes, results)


def _is_product(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type in MATMULS
