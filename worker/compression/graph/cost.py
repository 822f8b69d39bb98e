"""What a graph costs: parameters, multiply-accumulates, zeros, and all of it per layer.

MACs count the multiplications of linear layers, as published networks are compared: biases, activations and
normalisations are not counted. For an output of shape [N, M, …] with weight [M, C/g, k…]:

    Conv            |output| · C/g · Πk
    ConvTranspose   |input| · M/g · Πk
    MatMul, Gemm    |output| · K
    LSTM, GRU, RNN  steps · batch · (|W| + |R|)
    Einsum          Π of all index lengths (two operands)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from worker.compression.graph.shapes import numbers, with_shapes
from worker.compression.graph.weights import Weight, layers, weights_of


@dataclass(frozen=True)
class LayerCost:
    """A node with a weight: the weight's shape as stored, its dtype looking through DequantizeLinear."""

    name: str
    op: str
    weight: list[int]
    dtype: str
    parameters: int
    macs: int | None


def parameters(model: ir.Model) -> int:
    """Numbers the network has learnt: the elements of its float and quantized constants.

    Not counted: integers that only steer shapes, single numbers (a clip's bound, a power), scales and zero points.
    """
    return sum(_count(value) for graph in model.graphs() for value in graph.initializers.values())


def macs(model: ir.Model, shapes: dict[str, list[int]] | None = None) -> int | None:
    """Multiply-accumulates for these input shapes (batch 1 where nothing is given); None where one is unknown.

    Of an If, the dearer branch counts. A loop's body runs an unknown number of times: None if it has linear layers.
    """
    return _graph_macs(with_shapes(model, shapes).graph)


def sparsity(model: ir.Model) -> float:
    """Share of zeros among the weights of all layers, 0–1. A quantized weight is zero at its zero point."""
    weights = {id(weight.value): weight for _, found in layers(model) for weight in found}.values()
    total = sum(weight.size for weight in weights)
    return sum(weight.zeros() for weight in weights) / total if total else 0.0


def layer_table(model: ir.Model, shapes: dict[str, list[int]] | None = None) -> list[LayerCost]:
    """Every node with a weight, in the order of the graph, subgraphs included."""
    shaped = with_shapes(model, shapes)
    return [_layer(node, found) for node, found in layers(shaped)]


def node_macs(node: ir.Node) -> int | None:
    """MACs of one node: 0 where it is no linear layer, None where its shapes are unknown."""
    formula = FORMULAS.get(node.op_type)
    return 0 if formula is None else formula(node)


def _layer(node: ir.Node, found: list[Weight]) -> LayerCost:
    return LayerCost(
        name=node.name or "",
        op=node.op_type,
        weight=found[0].shape,
        dtype=found[0].dtype,
        parameters=sum(weight.size for weight in found),
        macs=node_macs(node),
    )


def _graph_macs(graph: ir.Graph) -> int | None:
    total = 0
    for node in graph:
        branches = [_graph_macs(subgraph) for subgraph in _subgraphs(node)]
        if node.op_type in ("Loop", "Scan", "SequenceMap"):
            branches = [None if cost else cost for cost in branches]
        costs = [node_macs(node), *branches]
        if any(cost is None for cost in costs):
            return None
        total += max(cost for cost in costs if cost is not None)
    return total


def _subgraphs(node: ir.Node) -> list[ir.Graph]:
    graphs: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            graphs.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            graphs.extend(attribute.as_graphs())
    return graphs


def _conv(weight: int, *, by_input: bool = False) -> Callable[[ir.Node], int | None]:
    def formula(node: ir.Node) -> int | None:
        kernel = numbers(node.inputs[weight])
        positions = numbers(node.inputs[0] if by_input else node.outputs[0])
        return None if kernel is None or positions is None else math.prod(positions) * math.prod(kernel[1:])

    return formula


def _product(left: int = 0, right: int = 1) -> Callable[[ir.Node], int | None]:
    """|output| · K, with K the last axis of the left operand (the first when transposed)."""

    def formula(node: ir.Node) -> int | None:
        output, inner = numbers(node.outputs[0]), _inner(node, left, right)
        return None if output is None or inner is None else math.prod(output) * inner

    return formula


def _inner(node: ir.Node, left: int, right: int) -> int | None:
    for index, flag, straight in ((left, "transA", -1), (right, "transB", -2)):
        shape = numbers(node.inputs[index])
        if not shape:
            continue
        transposed = node.attributes.get_int(flag, 0)
        if len(shape) == 1:
            return shape[0]
        return shape[straight if not transposed else -3 - straight]
    return None


def _recurrent(node: ir.Node) -> int | None:
    sequence, found = numbers(node.inputs[0]), weights_of(node)
    if sequence is None or not found:
        return None
    return sequence[0] * sequence[1] * sum(weight.size for weight in found)


def _einsum(node: ir.Node) -> int | None:
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    shapes = [numbers(value) for value in node.inputs]
    if "." in equation or len(terms) != 2:
        return None
    lengths: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if shape is None or len(shape) != len(term):
            return None
        lengths.update(zip(term, shape, strict=True))
    return math.prod(lengths.values())


def _n_bits(node: ir.Node) -> int | None:
    output = numbers(node.outputs[0])
    return None if output is None else math.prod(output) * node.attributes.get_int("K", 0)


FORMULAS: Final[dict[str, Callable[[ir.Node], int | None]]] = {
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv(1, by_input=True),
    "MatMul": _product(),
    "MatMulInteger": _product(),
    "QLinearMatMul": _product(0, 3),
    "Gemm": _product(),
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Einsum": _einsum,
    "FusedConv": _conv(1),
    "FusedMatMul": _product(),
    "FusedGemm": _product(),
    "QGemm": _product(0, 3),
    "DynamicQuantizeMatMul": _product(),
    "MatMulIntegerToFloat": _product(),
    "DynamicQuantizeLSTM": _recurrent,
    "MatMulNBits": _n_bits,
}

LEARNT_INTEGERS: Final[dict[str, tuple[int, ...]]] = {
    "DequantizeLinear": (0,),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (0, 3),
    "ConvInteger": (1,),
    "MatMulInteger": (0, 1),
    "QGemm": (3, 6),
    "DynamicQuantizeMatMul": (1,),
    "MatMulIntegerToFloat": (0, 1),
    "DynamicQuantizeLSTM": (1, 2),
    "QAttention": (1,),
    "GatherBlockQuantized": (0,),
    "QLinearAdd": (0, 3),
    "QLinearMul": (0, 3),
    "MatMulNBits": (1,),
}
"""operator → inputs where an integer constant is learnt."""

STEERING: Final[dict[str, tuple[int, ...]]] = {
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QGemm": (1, 2, 4, 5, 7, 8),
    "DynamicQuantizeMatMul": (2, 3),
    "MatMulIntegerToFloat": (2, 3, 4, 5),
    "DynamicQuantizeLSTM": (8, 9, 10, 11),
    "QLinearAdd": (1, 2, 4, 5, 6, 7),
    "QLinearMul": (1, 2, 4, 5, 6, 7),
    "MatMulNBits": (2, 3, 4),
    "GatherBlockQuantized": (2, 3),
    "Resize": (1, 2),
    "Upsample": (1,),
    "Clip": (1, 2),
    "Pad": (2,),
}
"""operator → inputs where a constant is a setting, not something learnt."""


def _count(value: ir.Value) -> int:
    tensor = value.const_value
    if tensor is None or tensor.size < 2:
        return 0
    uses = [(use.node, use.idx) for use in value.uses()]
    if all(index in STEERING.get(node.op_type, ()) for node, index in uses):
        return 0
    if tensor.dtype.is_floating_point():
        return int(tensor.size)
    learnt = next((n for n, i in uses if i in LEARNT_INTEGERS.get(n.op_type, ())), None)
    if learnt is None:
        return 0
    return _unpacked(learnt) if learnt.op_type == "MatMulNBits" else int(tensor.size)


def _unpacked(node: ir.Node) -> int:
    """MatMulNBits packs its [N, K] weight into bytes."""
    return node.attributes.get_int("N", 0) * node.attributes.get_int("K", 0)
