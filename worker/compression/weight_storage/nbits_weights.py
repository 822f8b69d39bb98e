"""Read weights that lie in a graph packed in bytes: those of MatMulNBits and GatherBlockQuantized, and planes behind
any reader; see `bit_layout` for the layouts."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.values import array_of, input_at, tensor_of
from worker.compression.weight_storage import bit_layout
from worker.compression.weight_storage.bit_layout import Bytes

UNPACKING: Final = frozenset({"BitwiseAnd", "BitwiseOr", "BitShift", "Concat", "Slice", "Reshape"})
"""Between planes and their reader; each goes on with its first input."""
READERS: Final[dict[str, int]] = {"MatMulNBits": 1, "GatherBlockQuantized": 0, "DequantizeLinear": 0}
"""operator → input with the weight; its zero points are input 3, and 2 of DequantizeLinear."""


@dataclass(frozen=True)
class NBitsWeight:
    """A weight `stored` in so many bits for `reader`, of which it has `rows` × `inner` numbers."""

    reader: ir.Node
    stored: ir.Value
    bits: int
    rows: int
    inner: int

    @property
    def size(self) -> int:
        return self.rows * self.inner

    def codes(self) -> Bytes:
        """Unpack the weight, uint8 [rows, inner]."""
        stored = array_of(self.stored)
        if _is_planes(self.stored):
            return self._of_planes(stored)
        per_row = stored.reshape(self.rows, -1)
        return bit_layout.unpack_bits(per_row, self.bits, self.inner)

    def zeros(self) -> int:
        """Count the numbers that stand for zero."""
        codes, zero = self.codes(), self._zero_points()
        block = self.reader.attributes.get_int("block_size", self.inner) or self.inner
        spread = np.repeat(zero, block, axis=1)[:, : self.inner] if zero.size > 1 else zero
        return int((codes == spread).sum())

    def _of_planes(self, stored: Bytes) -> Bytes:
        block = self.reader.attributes.get_int("block_size", self.inner)
        padded = self.inner + (-self.inner % block if self.reader.op_type == "MatMulNBits" else 0)
        count = -(-self.rows * padded // 2)
        flat = bit_layout.unpack_bits(
            bit_layout.planes_to_pairs(stored, self.bits, count), 4, self.rows * padded
        )
        return flat.reshape(self.rows, padded)[:, : self.inner]

    def _zero_points(self) -> Bytes:
        """uint8 [rows, blocks], or [1, 1]: the middle, where there are none or they are all one."""
        index = 2 if self.reader.op_type == "DequantizeLinear" else 3
        value = input_at(self.reader, index)
        middle = np.full((1, 1), 1 << (self.bits - 1), np.uint8)
        if value is None or value.const_value is None:
            return middle
        stored = value.const_value.numpy().astype(np.uint8).reshape(self.rows, -1)
        release(value)
        if self.reader.op_type == "DequantizeLinear":
            return stored
        width = self.reader.attributes.get_int("bits", 4)
        return bit_layout.unpack_bits(stored, width, stored.shape[1] * 8 // width)


def nbits_weight_of(reader: ir.Node) -> NBitsWeight | None:
    """Find the packed weight that a node reads; None where it reads none, or one with a byte for each number."""
    index = READERS.get(reader.op_type)
    if index is None or reader.inputs[index] is None:
        return None
    value = packed_source(reader.inputs[index])
    if value is None or value.const_value is None or value.const_value.dtype != ir.DataType.UINT8:
        return None
    planes = _is_planes(value)
    bits = {3: 3, 1: 2}[int(_dims(value)[0])] if planes else reader.attributes.get_int("bits", 4)
    match reader.op_type:
        case "MatMulNBits":
            rows, inner = (reader.attributes.get_int(name, 0) for name in ("N", "K"))
        case "DequantizeLinear" if not planes:
            return None
        case _:
            dims = _shape_of(reader.inputs[index])
            if dims is None or len(dims) != 2:
                return None
            width = 8 if reader.op_type == "DequantizeLinear" else reader.attributes.get_int("bits", 4)
            rows, inner = dims[0], dims[1] * 8 // width
    return NBitsWeight(reader, value, bits, rows, inner)


def reader_of(value: ir.Value) -> ir.Node | None:
    """Find the node that reads what planes are unpacked to; None for other values."""
    while any(use.node.op_type in UNPACKING for use in value.uses()):
        value = next(use.node for use in value.uses() if use.node.op_type in UNPACKING).outputs[0]
    return next((use.node for use in value.uses() if READERS.get(use.node.op_type) == use.idx), None)


def packed_source(value: ir.Value | None) -> ir.Value | None:
    """Find the constant that a value is unpacked from: itself, or planes."""
    while value is not None and value.const_value is None:
        node = value.producer()
        if node is None or node.op_type not in UNPACKING:
            return None
        value = node.inputs[0]
    return value


def _is_planes(value: ir.Value) -> bool:
    return any(use.node.op_type == "BitwiseAnd" and use.idx == 0 for use in value.uses())


def _shape_of(value: ir.Value | None) -> list[int] | None:
    """Of a constant, or of the Reshape that makes the value."""
    if value is None:
        return None
    if value.const_value is not None:
        return _dims(value)
    node = value.producer()
    target = node.inputs[1] if node is not None and node.op_type == "Reshape" else None
    return None if target is None or target.const_value is None else array_of(target).tolist()


def _dims(value: ir.Value) -> list[int]:
    return [int(dim) for dim in tensor_of(value).shape.numpy()]
