"""Takes normalisations apart that ONNX Runtime has fused: streams are seen again, and all operators are ONNX's own.
Statistics that other nodes read are computed beside them, so that every normalisation answers one value:

    SkipLayerNormalization(x, skip, γ, β, bias)        →  s = x + (skip + bias);  LayerNormalization(s, γ, β)
    SkipSimplifiedLayerNormalization(x, skip, γ, bias) →  s = x + (skip + bias);  RMS(s, γ)
    SimplifiedLayerNormalization(x, γ)                 →  RMS(x, γ) = γ · x / √(mean x² + ε), in float32 up to γ
    LayerNormalization(x, γ, β) → y, μ, 1/σ            →  y, and μ = mean x, 1/σ = 1 / √(mean (x − μ)² + ε) in float32

The bias was that of a MatMul, of which ONNX Runtime makes `skip` or x: it is added there, so that what is left of x is
the stream. s is the fourth output, statistics are the second and third. SkipLayerNormalization before opset 17, which
has no LayerNormalization, stays; so does one without a mean of which the mean is read, 0 in ONNX Runtime.
ONNX Runtime fuses RMS again when it loads the model, the sum in front not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.edit import GraphEdit, put_in_place, take_over
from worker.compression.ir.operator_sets import MATMULS
from worker.compression.ir.values import OTHER_FLOATS, graph_of, required_input

HAS_LAYER_NORMALIZATION: Final = 17
AXES_ARE_INPUTS: Final = 18
"""The opset from which on ReduceMean reads its axes."""
SKIP_LAYER: Final = ("com.microsoft", "SkipLayerNormalization")
SKIP_RMS: Final = ("com.microsoft", "SkipSimplifiedLayerNormalization")
RMS: Final = ("", "SimplifiedLayerNormalization")
LAYER: Final = ("", "LayerNormalization")
SKIP_EPSILON: Final = 1e-12
EPSILON: Final = 1e-5
"""ONNX Runtime's own, where a node says none."""
X, SKIP, SCALE = range(3)
NORMALISED, SUM = 0, 3
MEAN, INVERSE = 1, 2
INVERSE_RMS: Final = 1
"""Outputs: of a normalisation with a mean, and of one without."""
FLOAT: Final = ir.DataType.FLOAT


class TakeNormsApart(ir.passes.InPlacePass):
    """Write every fused normalisation in operators of ONNX's own, and statistics that are read."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        edit, opset, single = GraphEdit(model), opset_of(model), _is_single(model)
        nodes = ir.traversal.RecursiveGraphIterator(model.graph)
        fused = [node for node in nodes if _can_be_taken_apart(node, opset)]
        for node in fused:
            x = node.inputs[X]
            is_wide = x is not None and (x.dtype == FLOAT or (x.dtype is None and single))
            if _kind(node) == RMS:
                _take_rms_apart(edit, node, opset, is_wide=is_wide)
            elif _kind(node) == LAYER:
                _take_statistics_out(edit, node, opset, is_wide=is_wide)
            else:
                _take_skip_apart(edit, node, opset)
        return ir.passes.PassResult(model, modified=bool(fused))


def _read_statistics(node: ir.Node) -> list[ir.Value]:
    """List the statistics of a normalisation that something reads."""
    return [value for value in node.outputs[MEAN:SUM] if value.uses() or value.is_graph_output()]


def _kind(node: ir.Node) -> tuple[str, str]:
    """Its domain, "" for ONNX's own, and its operator; files have the last of ours in either domain."""
    own = node.domain == "ai.onnx" or (node.op_type == RMS[1] and node.domain == SKIP_RMS[0])
    return ("" if own else node.domain, node.op_type)


def _can_be_taken_apart(node: ir.Node, opset: int) -> bool:
    kind, statistics = _kind(node), _read_statistics(node)
    if kind == LAYER:
        x = required_input(node, X)
        return bool(statistics) and _first_axis(node) is not None and x.dtype != ir.DataType.DOUBLE
    if kind == SKIP_LAYER:
        return opset >= HAS_LAYER_NORMALIZATION
    no_mean = kind == SKIP_RMS and any(value in statistics for value in node.outputs[MEAN:INVERSE])
    if kind not in (SKIP_RMS, RMS) or no_mean:
        return False
    gain = node.inputs[SCALE if kind == SKIP_RMS else 1]
    return gain is not None and gain.dtype is not None and _first_axis(node) is not None


def _take_rms_apart(edit: GraphEdit, node: ir.Node, opset: int, *, is_wide: bool) -> None:
    made = _rms(edit, node, node.inputs[X], EPSILON, opset, is_wide=is_wide)
    _put(node, made.nodes, _rms_answers(made, node, INVERSE_RMS))


def _rms_answers(made: "_Written", node: ir.Node, inverse: int) -> dict[int, ir.Value]:
    """What it answers, and the `inverse` of its root where that is read."""
    answers = {NORMALISED: made.nodes[-1].outputs[0]}
    if _read_statistics(node):
        root = next(each for each in made.nodes if each.op_type == "Sqrt").outputs[0]
        answers[inverse] = made.add("Reciprocal", [root], "inverse")
    return answers


def _take_statistics_out(edit: GraphEdit, node: ir.Node, opset: int, *, is_wide: bool) -> None:
    """Compute them behind the normalisation, which answers y alone."""
    made = _Written(edit, str(node.outputs[NORMALISED].name), opset)
    first = _first_axis(node)
    assert first is not None
    epsilon = node.attributes.get_float("epsilon", EPSILON)
    answers = _statistics(made, required_input(node, X), first, epsilon, is_wide=is_wide)
    graph_of(node).insert_after(node, made.nodes)
    for place, after in answers.items():
        if place < len(node.outputs):
            take_over(node.outputs[place], after)
    node.resize_outputs(NORMALISED + 1)


def _statistics(
    made: "_Written", x: ir.Value, first: int, epsilon: float, *, is_wide: bool
) -> dict[int, ir.Value]:
    """μ and 1/σ of x over the axes from the `first` on, in float32."""
    wide = x if is_wide else made.add("Cast", [x], "wide", to=FLOAT.value)
    mean = made.mean(wide, first, "mean")
    centred = made.add("Sub", [wide, mean], "centred")
    variance = made.mean(made.add("Mul", [centred, centred], "squares"), first, "variance")
    moment = made.add("Add", [variance, made.number(epsilon, "epsilon")], "moment")
    inverse = made.add("Reciprocal", [made.add("Sqrt", [moment], "root")], "inverse")
    return {MEAN: mean, INVERSE: inverse}


def _take_skip_apart(edit: GraphEdit, node: ir.Node, opset: int) -> None:
    inputs = [*node.inputs, None, None][:5]
    shift, bias = (inputs[3], inputs[4]) if _kind(node) == SKIP_LAYER else (None, inputs[3])
    out, nodes = str(node.outputs[NORMALISED].name), list[ir.Node]()
    if bias is not None:
        place = X if _is_product(inputs[X]) else SKIP
        nodes.append(edit.new_node("Add", [inputs[place], bias], f"{out}_biased"))
        inputs[place] = nodes[-1].outputs[0]
    nodes.append(edit.new_node("Add", inputs[: SKIP + 1], f"{out}_sum"))
    total, gain = nodes[-1].outputs[0], inputs[SCALE]
    is_wide = gain is not None and gain.dtype == FLOAT  # all that it reads is of its type
    if _kind(node) == SKIP_RMS:
        made = _rms(edit, node, total, SKIP_EPSILON, opset, is_wide=is_wide)
        answers = _rms_answers(made, node, INVERSE)
    else:
        made, epsilon = _Written(edit, out, opset), node.attributes.get_float("epsilon", SKIP_EPSILON)
        read = [total, gain, *([] if shift is None else [shift])]
        attributes = {"axis": -1, "epsilon": epsilon}
        made.nodes.append(edit.new_node("LayerNormalization", read, f"{out}_normalised", attributes))
        answers = {NORMALISED: made.nodes[-1].outputs[0]}
        if _read_statistics(node):
            answers |= _statistics(made, total, -1, epsilon, is_wide=is_wide)
    _put(node, [*nodes, *made.nodes], {**answers, SUM: total})


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


@dataclass
class _Written:
    """`nodes` in the order in which they are added; their values are called after `out`."""

    edit: GraphEdit
    out: str
    opset: int
    nodes: list[ir.Node] = field(default_factory=list)

    def add(self, operator: str, inputs: Sequence[ir.Value], name: str, **attributes: object) -> ir.Value:
        self.nodes.append(self.edit.new_node(operator, inputs, f"{self.out}_{name}", attributes))
        return self.nodes[-1].outputs[0]

    def number(self, value: float, name: str) -> ir.Value:
        return self.edit.new_constant(f"{self.out}_{name}", np.array(value, np.float32))

    def mean(self, x: ir.Value, first: int, name: str) -> ir.Value:
        """Over all axes from the `first` on, counted from the last."""
        axes = list(range(first, 0))
        if self.opset < AXES_ARE_INPUTS:
            return self.add("ReduceMean", [x], name, axes=axes, keepdims=1)
        along = self.edit.new_constant(f"{self.out}_{name}_axes", np.array(axes, np.int64))
        return self.add("ReduceMean", [x, along], name, keepdims=1)


def _rms(
    edit: GraphEdit, node: ir.Node, x: ir.Value | None, default_epsilon: float, opset: int, *, is_wide: bool
) -> _Written:
    """γ · x / √(mean x² + ε). The square of what may be no float32 (`is_wide`) could overflow: it is cast."""
    gain, first = node.inputs[SCALE if _kind(node) == SKIP_RMS else 1], _first_axis(node)
    assert x is not None
    assert gain is not None
    assert first is not None
    made = _Written(edit, str(node.outputs[NORMALISED].name), opset)
    wide = x if is_wide else made.add("Cast", [x], "wide", to=FLOAT.value)
    square = made.add("Pow", [wide, made.number(2.0, "two")], "square")
    epsilon = made.number(node.attributes.get_float("epsilon", default_epsilon), "epsilon")
    moment = made.add("Add", [made.mean(square, first, "mean"), epsilon], "moment")
    normal = made.add("Div", [wide, made.add("Sqrt", [moment], "root")], "normal")
    if gain.dtype != FLOAT:
        assert gain.dtype is not None
        normal = made.add("Cast", [normal], "narrow", to=gain.dtype.value)
    made.add("Mul", [normal, gain], "normalised")
    return made


def _put(node: ir.Node, nodes: list[ir.Node], answers: Mapping[int, ir.Value]) -> None:
    """Put nodes in a node's place: by the place of an output, what answers for it."""
    outputs = enumerate(node.outputs)
    put_in_place(node, nodes, [(value, answers[place]) for place, value in outputs if place in answers])


def _is_product(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type in MATMULS
