"""Finds the products of uint8 data and constant int8 weights in a graph, as runtimes' integer kernels see them.

    QuantizeLinear ─ DequantizeLinear ─ Conv | Gemm | MatMul ◂ DequantizeLinear ◂ int8
    DynamicQuantizeLinear ─ ConvInteger | MatMulInteger ◂ int8

Depthwise convolutions are none: their kernels widen before they add.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.values import all_nodes, array_of, input_at, is_constant, required_input

INTEGER: Final = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
FLOAT: Final = frozenset({"Conv", "Gemm", "MatMul"})
OTHER_FORMS: Final = frozenset(
    {
        *("QLinearConv", "QLinearMatMul", "QGemm", "QAttention", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"),
        *("MatMulIntegerToFloat", "QLinearConvTranspose"),
    }
)  # fmt: skip
"""Products of integers that are not looked into."""


@dataclass(frozen=True)
class IntegerLayer:
    """`stored` is the weight as the node reads it, int8. Of a node that reads floats `scale` and `zero` are those of
    its data, and `dequantize` makes its weight; of one that reads integers they are 1 and None, and the zero point is
    an input of the node."""

    node: ir.Node
    stored: Array
    scale: float = 1.0
    zero: float | None = None
    dequantize: ir.Node | None = None

    @property
    def op(self) -> str:
        return INTEGER.get(self.node.op_type, self.node.op_type)

    @property
    def groups(self) -> int:
        return self.node.attributes.get_int("group", 1)

    @property
    def matrix(self) -> Array:
        """The weight [outputs, inputs of one group], in the order in which a kernel adds: channels of one place of a
        convolution's window lie side by side."""
        if self.op == "Conv":
            return np.moveaxis(self.stored, 1, -1).reshape(len(self.stored), -1)
        return self.stored if self.node.attributes.get_int("transB", 0) == 1 else self.stored.T


def integer_layers(graph: ir.Graph) -> list[IntegerLayer]:
    return [layer for node in graph if (layer := _layer(node)) is not None]


def not_looked_into(model: ir.Model) -> int:
    """Count the nodes that multiply integers in a form of their own, or in a branch or body."""
    return sum(
        node.op_type in OTHER_FORMS or (node.graph is not model.graph and _layer(node) is not None)
        for node in all_nodes(model)
    )


def _layer(node: ir.Node) -> IntegerLayer | None:
    if node.domain == "" and node.op_type in INTEGER:
        layer = _of_integers(node)
    elif node.domain == "" and node.op_type in FLOAT:
        layer = _of_floats(node)
    else:
        return None
    return None if layer is None or _is_depthwise(layer) else layer


def _of_integers(node: ir.Node) -> IntegerLayer | None:
    data, weight = required_input(node, 0), required_input(node, 1)
    if data.dtype not in (None, ir.DataType.UINT8):
        return None
    turned = weight.producer()
    if turned is not None and turned.op_type == "Transpose" and is_constant(turned.inputs[0]):
        stored = array_of(turned.inputs[0]).transpose(turned.attributes.get_ints("perm", [1, 0]))
    elif is_constant(weight):
        stored = array_of(weight)
    else:
        return None
    if stored.dtype != np.int8 or (node.op_type == "MatMulInteger" and stored.ndim != 2):
        return None
    return IntegerLayer(node, stored)


def _of_floats(node: ir.Node) -> IntegerLayer | None:
    data, weight = (required_input(node, index).producer() for index in (0, 1))
    if data is None or weight is None or {data.op_type, weight.op_type} != {"DequantizeLinear"}:
        return None
    scale, zero, stored = input_at(data, 1), input_at(data, 2), input_at(weight, 0)
    if not (is_constant(scale) and is_constant(zero) and is_constant(stored)):
        return None
    scales, zeros, numbers = array_of(scale), array_of(zero), array_of(stored)
    if zeros.dtype != np.uint8 or scales.size != 1 or numbers.dtype != np.int8:
        return None
    if (
        "block_size" in weight.attributes
        or (node.op_type != "Conv" and numbers.ndim != 2)
        or _is_scaled(node)
    ):
        return None
    return IntegerLayer(node, numbers, float(scales.reshape(())), float(zeros.reshape(())), weight)


def _is_scaled(node: ir.Node) -> bool:
    return bool(node.attributes.get_int("transA", 0)) or node.attributes.get_float("alpha", 1.0) != 1.0


def _is_depthwise(layer: IntegerLayer) -> bool:
    return layer.op == "Conv" and layer.stored.shape[1] == 1 and layer.groups == len(layer.stored)
