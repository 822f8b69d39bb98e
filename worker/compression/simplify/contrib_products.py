"""Products that ONNX Runtime has fused with what stands around them, in ONNX's own operators.

FusedMatMul(a, b)                       α · aᵀ? bᵀ?
MatMulIntegerToFloat(a, b, s, t, …)     s · t · float(MatMulInteger(a, b)) + bias
DynamicQuantizeMatMul(x, b, t, …)       the same, of DynamicQuantizeLinear(x)
"""

import onnx_ir as ir

from worker.compression.ir.values import input_at, required_input
from worker.compression.simplify.contrib_writing import Writing


def fused_matmul(writing: Writing, node: ir.Node) -> ir.Value | None:
    flags = node.attributes
    if flags.get_int("transBatchA", 0) or flags.get_int("transBatchB", 0):
        return None
    operands = []
    for index, name in ((0, "transA"), (1, "transB")):
        value = required_input(node, index)
        if flags.get_int(name, 0):
            if value.shape is None:
                return None
            rank = len(value.shape)
            if rank > 1:
                value = writing.add("Transpose", value, perm=[*range(rank - 2), rank - 1, rank - 2])
        operands.append(value)
    result = writing.add("MatMul", *operands)
    alpha = flags.get_float("alpha", 1.0)
    return result if alpha == 1.0 else writing.add("Mul", result, writing.number(alpha))


def matmul_integer_to_float(writing: Writing, node: ir.Node) -> ir.Value | None:
    a, b, a_scale, b_scale, a_zero, b_zero, bias = (input_at(node, index) for index in range(7))
    return _product(writing, (a, b, a_zero, b_zero), (a_scale, b_scale), bias)


def dynamic_quantize_matmul(writing: Writing, node: ir.Node) -> ir.Value | None:
    x, b, b_scale, b_zero, bias = (input_at(node, index) for index in range(5))
    quantized = writing.add_node("DynamicQuantizeLinear", x, outputs=3)
    a, a_scale, a_zero = quantized.outputs
    return _product(writing, (a, b, a_zero, b_zero), (a_scale, b_scale), bias)


def _product(
    writing: Writing,
    operands: tuple[ir.Value | None, ...],
    scales: tuple[ir.Value | None, ir.Value | None],
    bias: ir.Value | None,
) -> ir.Value:
    while operands[-1] is None:
        operands = operands[:-1]
    integers = writing.add("MatMulInteger", *operands)
    floats = writing.add("Cast", integers, to=ir.DataType.FLOAT.value)
    result = writing.add("Mul", floats, writing.add("Mul", *scales))
    return result if bias is None else writing.add("Add", result, bias)
