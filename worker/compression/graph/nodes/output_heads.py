"""Finds the output heads of a model: the last product before an output, with nothing behind it but what leaves each
number its place or goes over one position, and constants."""

from typing import Final

import onnx_ir as ir

from worker.compression.ir.operator_sets import MATMULS_AND_CONV
from worker.compression.ir.values import is_constant

BEHIND: Final = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Cast", "Identity"),
        *("Softmax", "LogSoftmax", "Sigmoid", "Tanh", "Clip", "Relu", "Slice"),
    }
)  # fmt: skip


def output_heads(model: ir.Model) -> set[ir.Node]:
    """Conv, Gemm or MatMul of the main graph."""
    heads = set[ir.Node]()
    for value in model.graph.outputs:
        node = value.producer()
        while node is not None and node.op_type in BEHIND:
            read = [each for each in node.inputs if each is not None and not is_constant(each)]
            node = read[0].producer() if len(read) == 1 else None
        if node is not None and node.op_type in MATMULS_AND_CONV:
            heads.add(node)
    return heads
