"""Multiply-accumulates of one node.

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

from worker.compression.graph.nodes.known_shapes import numbers
from worker.compression.graph.nodes.weights import weights_of


def node_macs(node: ir.Node) -> int | None:
    """MACs of one node: 0 where it is no linear layer, None where its shapes are unknown."""
    formula = FORMULAS.get(node.op_type)
    return 0 if formula is None else formula(node)


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
    sizes = [numbers(weight.value) for weight in found]
    return sequence[0] * sequence[1] * sum(math.prod(size or ()) for size in sizes)


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
