"""Find the constant that is a node's weight, however it is stored: as floats, quantized, behind a DequantizeLinear."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.compression.ir.values import tensor_of
from worker.compression.weight_storage.codebook_weights import CodebookWeight, codebook_weight_of
from worker.compression.weight_storage.nbits_weights import NBitsWeight, nbits_weight_of

WEIGHT_INPUTS: Final[dict[str, tuple[int, ...]]] = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "ConvInteger": (1,),
    "QLinearConv": (3,),
    "Gemm": (1, 0),
    "MatMul": (1, 0),
    "MatMulInteger": (1, 0),
    "QLinearMatMul": (3, 0),
    "LSTM": (1, 2),
    "GRU": (1, 2),
    "RNN": (1, 2),
    "Gather": (0,),
    "Einsum": (1, 0),
    # com.microsoft
    "FusedConv": (1,),
    "NhwcConv": (1,),
    "FusedGemm": (1, 0),
    "FusedMatMul": (1, 0),
    "QGemm": (3,),
    "DynamicQuantizeMatMul": (1,),
    "MatMulIntegerToFloat": (1, 0),
    "DynamicQuantizeLSTM": (1, 2),
    "MatMulNBits": (1,),
    "Attention": (1,),
    "QAttention": (1,),
    "GatherBlockQuantized": (0,),
}
"""operator → inputs that may hold the weight. All of them count for recurrent layers, else the first constant one."""

RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"})
ZERO_POINT: Final[dict[str, int]] = {
    "QLinearConv": 5,
    "ConvInteger": 3,
    "QLinearMatMul": 5,
    "MatMulInteger": 3,
    "QGemm": 5,
    "DynamicQuantizeMatMul": 3,
    "MatMulIntegerToFloat": 5,
    "DynamicQuantizeLSTM": 9,
}
"""operator → input with the weight's zero point."""

PASSES_THROUGH: Final = frozenset(
    {"DequantizeLinear", "Cast", "Transpose", "Reshape", "Identity", "QuantizeLinear"}
)
"""What may stand between a stored weight and its layer."""


@dataclass(frozen=True)
class Weight:
    """A constant and the zero point it is stored with (None: zero is zero).

    `nbits`: several numbers in a byte. `codebook`: it holds codes of few values.
    """

    value: ir.Value
    zero_point: ir.Value | None = None
    nbits: NBitsWeight | None = None
    codebook: CodebookWeight | None = None

    @property
    def shape(self) -> list[int]:
        if self.nbits is not None:
            return [self.nbits.rows, self.nbits.inner]
        return [int(dim) for dim in tensor_of(self.value).shape.numpy()]

    @property
    def size(self) -> int:
        return int(tensor_of(self.value).size) if self.nbits is None else self.nbits.size

    @property
    def dtype(self) -> str:
        if self.nbits is not None:
            return f"uint{self.nbits.bits}"
        if self.codebook is not None:
            return f"uint{self.codebook.bits}"
        return dtype_name(tensor_of(self.value).dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers as stored, without scales and zero points; of a codebook's weight the codes."""
        if self.codebook is not None:
            return -(-self.size * self.codebook.bits // 8)
        return int(tensor_of(self.value).nbytes)

    def zeros(self) -> int:
        """Count the values that stand for zero. The zero point goes along the axis whose length it has."""
        if self.nbits is not None:
            return self.nbits.zeros()
        array = tensor_of(self.value).numpy() if self.codebook is None else self.codebook.expanded()
        if self.zero_point is None or self.zero_point.const_value is None:
            return int(array.size - np.count_nonzero(array))
        return int(np.count_nonzero(array == _broadcast(self.zero_point.const_value.numpy(), array.shape)))


def dtype_name(dtype: ir.DataType) -> str:
    """numpy's name of it: float32, int8, …"""
    return {"float": "float32", "double": "float64"}.get(name := dtype.name.lower(), name)


def weights_of(node: ir.Node) -> list[Weight]:
    """Find the weights of a layer: two for a recurrent one (input and recurrence), one or none for others."""
    if node.op_type not in WEIGHT_INPUTS or node.domain not in ("", "ai.onnx", "com.microsoft"):
        return []
    weights = [w for index in WEIGHT_INPUTS[node.op_type] if (w := _weight(node, index)) is not None]
    return weights if node.op_type in RECURRENT else weights[:1]


def layers(model: ir.Model) -> Iterator[tuple[ir.Node, list[Weight]]]:
    """Yield every node that has a weight, in subgraphs too."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if weights := weights_of(node):
            yield node, weights


def _weight(node: ir.Node, index: int) -> Weight | None:
    if index >= len(node.inputs) or (value := node.inputs[index]) is None:
        return None
    if (nbits := nbits_weight_of(node)) is not None:
        return Weight(nbits.stored, nbits=nbits)
    zero_point = _input(node, ZERO_POINT.get(node.op_type))
    while value.const_value is None:
        if (codebook := codebook_weight_of(value)) is not None:
            return Weight(codebook.codes, codebook=codebook)
        source = value.producer()
        if source is not None and (nbits := nbits_weight_of(source)) is not None:
            return Weight(nbits.stored, nbits=nbits)
        if source is None or source.op_type not in PASSES_THROUGH or source.inputs[0] is None:
            return None
        if source.op_type == "DequantizeLinear":
            zero_point = _input(source, 2)
        value = source.inputs[0]
    small_gather = node.op_type in ("Gather", "GatherBlockQuantized") and (
        not _is_table(value) or scales_rows(node)
    )
    return None if small_gather or tensor_of(value).size < 2 else Weight(value, zero_point)


def scales_rows(node: ir.Node) -> bool:
    """Whether a Gather takes the scales of rows that another one takes as integers: Cast(rows) · scales."""
    if node.op_type != "Gather":
        return False
    readers = [use.node for use in node.outputs[0].uses()]
    factors = [value for reader in readers if reader.op_type == "Mul" for value in reader.inputs if value]
    casts = [cast for value in factors if (cast := value.producer()) is not None and cast.op_type == "Cast"]
    return any(gathers_bytes(cast.inputs[0].producer()) for cast in casts if cast.inputs[0] is not None)


def gathers_integer_rows(node: ir.Node) -> bool:
    """Whether a Gather takes the rows of integers that another one takes the scales of."""
    casts = [use.node for use in node.outputs[0].uses() if use.node.op_type == "Cast"]
    products = [use.node for cast in casts for use in cast.outputs[0].uses() if use.node.op_type == "Mul"]
    factors = [value.producer() for product in products for value in product.inputs if value is not None]
    return gathers_bytes(node) and any(factor is not None and scales_rows(factor) for factor in factors)


def gathers_bytes(node: ir.Node | None) -> bool:
    """Whether it is a Gather from a constant of 8-bit integers: a quantized table."""
    table = node.inputs[0] if node is not None and node.op_type == "Gather" else None
    stored = None if table is None else table.const_value
    return stored is not None and stored.dtype in (ir.DataType.INT8, ir.DataType.UINT8)


def _is_table(value: ir.Value) -> bool:
    """An embedding is a float (or quantized) matrix; a Gather from integers is shape arithmetic."""
    tensor = tensor_of(value)
    integers = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL, ir.DataType.STRING)
    return len(tensor.shape) >= 2 and tensor.dtype not in integers


def _input(node: ir.Node, index: int | None) -> ir.Value | None:
    return node.inputs[index] if index is not None and index < len(node.inputs) else None


def _broadcast(zero_point: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    if zero_point.size == 1 or zero_point.size not in shape:
        return zero_point.reshape(-1)[0] if zero_point.size else np.zeros((), zero_point.dtype)
    axis = shape.index(zero_point.size)
    return zero_point.reshape([-1 if a == axis else 1 for a in range(len(shape))])
