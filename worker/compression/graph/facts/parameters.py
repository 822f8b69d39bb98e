"""Count the numbers that a network has learnt."""

from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.weights import gathers_bytes, scales_rows
from worker.compression.weight_storage.codebook_weights import weight_of_codes, weight_of_learnt
from worker.compression.weight_storage.nbits_weights import nbits_weight_of, reader_of

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

NOT_LEARNT: Final[dict[str, tuple[int, ...]]] = {
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
    "BatchNormalization": (3, 4),
}
"""operator → inputs where a constant is a setting or a running statistic, not something learnt."""

LEARNT_SCALARS: Final[dict[str, tuple[int, ...]]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "QLinearConv": (3, 8),
    "Gemm": (0, 1, 2),
    "QGemm": (3, 6),
    "MatMul": (0, 1),
    "PRelu": (1,),
    "BatchNormalization": (1, 2),
}
"""operator → inputs where even a single number is learnt."""


def parameters(model: ir.Model) -> int:
    """Count the numbers the network has learnt: the elements of its float and quantized constants.

    Not counted: integers that only steer shapes, single numbers outside layers (a clip's bound, a power), scales,
    codebooks and zero points, and the running statistics of batch normalisation, as published networks are counted.
    What several nodes read counts once, what is stored twice (in 4 bits for a product and in 8 as a table) twice.
    """
    return sum(count_of(value) for graph in model.graphs() for value in graph.initializers.values())


def count_of(value: ir.Value) -> int:
    """Count the numbers of one constant that were learnt."""
    tensor = value.const_value
    uses = [(use.node, use.idx) for use in value.uses()]
    if tensor is None or tensor.size == 0 or (tensor.size == 1 and not any(_in_layer(*use) for use in uses)):
        return 0
    if all(
        index in NOT_LEARNT.get(node.op_type, ()) or _scales_dynamic_result(node) or scales_rows(node)
        for node, index in uses
    ):
        return 0
    if tensor.dtype.is_floating_point():
        return int(tensor.size) if weight_of_learnt(value) is None else 0
    if weight_of_codes(value) is not None:
        return int(tensor.size)
    learnt = next(
        (n for n, i in uses if (i in LEARNT_INTEGERS.get(n.op_type, ()) or (i == 0 and gathers_bytes(n)))),
        reader_of(value),
    )
    if learnt is None:
        return 0
    nbits = nbits_weight_of(learnt)
    return int(tensor.size) if nbits is None else nbits.size if nbits.stored is value else 0


def _in_layer(node: ir.Node, index: int) -> bool:
    if node.op_type == "DequantizeLinear" and index == 0:
        return any(_in_layer(use.node, use.idx) for use in node.outputs[0].uses())
    return index in LEARNT_SCALARS.get(node.op_type, ())


def _scales_dynamic_result(node: ir.Node) -> bool:
    """Whether the node multiplies the scale of DynamicQuantizeLinear: its other factor is a weight's scale."""
    if node.op_type != "Mul":
        return False
    producers = [value.producer() for value in node.inputs if value is not None]
    return any(p is not None and p.op_type == "DynamicQuantizeLinear" for p in producers)
