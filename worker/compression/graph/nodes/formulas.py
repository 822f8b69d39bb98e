"""Count the multiply-accumulates of one node.

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
from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.known_shapes import static_dims
from worker.compression.graph.nodes.weights import weights_of


def node_macs(node: ir.Node) -> int | None:
    """Count the MACs of one node: 0 where it is no linear layer, None where its shapes are unknown."""
    formula = FORMULAS.get(node.op_type)
    return 0 if formula is None else formula(node)


def _conv(weight: int, *, by_input: bool = False) -> Callable[[ir.Node], int | None]:
    def formula(node: ir.Node) -> int | None:
        kernel = static_dims(node.inputs[weight])
        positions = static_dims(node.inputs[0] if by_input else node.outputs[0])
        return None if kernel is None or positions is None else math.prod(positions) * math.prod(kernel[1:])

    return formula


def _matmul(a: int = 0, b: int = 1) -> Callable[[ir.Node], int | None]:
    """|output| · K, with K the last axis of operand `a` (the first when transposed)."""

    def formula(node: ir.Node) -> int | None:
        output, inner = static_dims(node.outputs[0]), _inner(node, a, b)
        return None if output is None or inner is None else math.prod(output) * inner

    return formula


def _inner(node: ir.Node, a: int, b: int) -> int | None:
    for index, flag, straight in ((a, "transA", -1), (b, "transB", -2)):
        shape = static_dims(node.inputs[index])
        if not shape:
            continue
        transposed = node.attributes.get_int(flag, 0)
        if len(shape) == 1:
            return shape[0]
        return shape[straight if not transposed else -3 - straight]
    return None


def _recurrent(node: ir.Node) -> int | None:
    sequence, weights = static_dims(node.inputs[0]), weights_of(node)
    if sequence is None or not weights:
        return None
    sizes = [static_dims(weight.value) for weight in weights]
    return sequence[0] * sequence[1] * sum(math.prod(size or ()) for size in sizes)


def _einsum(node: ir.Node) -> int | None:
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    shapes = [static_dims(value) for value in node.inputs]
    if "." in equation or len(terms) != 2:
        return None
    lengths: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if shape is None or len(shape) != len(term):
            return None
        lengths.update(zip(term, shape, strict=True))
    return math.prod(lengths.values())


def _n_bits(node: ir.Node) -> int | None:
    output = static_dims(node.outputs[0])
    return None if output is None else math.prod(output) * node.attributes.get_int("K", 0)


FORMULAS: Final[dict[str, Callable[[ir.Node], int | None]]] = {
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv(1, by_input=True),
    "MatMul": _matmul(),
    "MatMulInteger": _matmul(),
    "QLinearMatMul": _matmul(0, 3),
    "Gemm": _matmul(),
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Einsum": _einsum,
    "FusedConv": _conv(1),
    "FusedMatMul": _matmul(),
    "FusedGemm": _matmul(),
    "QGemm": _matmul(0, 3),
    "DynamicQuantizeMatMul": _matmul(),
    "MatMulIntegerToFloat": _matmul(),
    "DynamicQuantizeLSTM": _recurrent,
    "MatMulNBits": _n_bits,
}
