"""Tensors whose numbers are not in the message: read one at a time, and written to a file as they are packed.

Constants that are no messages yet: what a message of them would take is known without making it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from worker.compression.ir.arrays import Array
from worker.compression.ir.mapped_tensors import MappedTensors, let_go

LENGTH: Final = "length"


@dataclass(frozen=True)
class Held:
    """A constant of the file to be, its numbers as an array of any dtype that a file can have, of whole bytes."""

    name: str
    array: Array

    def proto(self) -> TensorProto:
        """Copy it into a message."""
        return numpy_helper.from_array(self.array, self.name)

    @property
    def dims(self) -> tuple[int, ...]:
        return self.array.shape

    @cached_property
    def data_type(self) -> int:
        return int(helper.np_dtype_to_tensor_dtype(self.array.dtype))

    def ByteSize(self) -> int:
        """The bytes of the message."""
        return message_bytes(
            TensorProto(name=self.name, data_type=self.data_type, dims=self.dims), self.array.nbytes
        )


def message_bytes(head: TensorProto, content: int) -> int:
    """The bytes of a tensor's message: of all but its numbers, and of so many bytes of numbers."""
    length = max(1, -(-content.bit_length() // 7))
    return int(head.ByteSize()) + 1 + length + content


class Elsewhere:
    """`weights`: the tensors by the names of their references in the message. What `keep` is given joins them, where
    there is a file to write it to."""

    def __init__(
        self, weights: dict[str, ir.TensorProtocol] | None = None, written: MappedTensors | None = None
    ) -> None:
        self.weights = {} if weights is None else weights
        self._written = written

    def array_of(self, tensor: TensorProto) -> Array:
        """The numbers, from wherever they are."""
        source = self.weights.get(tensor.name)
        array: Array = numpy_helper.to_array(tensor) if source is None else source.numpy()
        return array

    def release(self, tensor: TensorProto) -> None:
        """Let go of the file that its numbers are mapped from, as far as no view of them is alive."""
        let_go(self.weights.get(tensor.name))

    def keep(self, held: Held) -> TensorProto:
        """Write the constant, and return what stands for it in the message."""
        if self._written is None:
            return held.proto()
        tensor = self._written.append(held.name, held.array)
        if isinstance(tensor, ir.ExternalTensor):
            self.weights[held.name] = tensor
        return ir.to_proto(tensor)


def dense_bytes(tensor: TensorProto) -> int:
    """The bytes of a tensor's message with its numbers in it, wherever they are."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return int(tensor.ByteSize())
    head = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    return message_bytes(head, external_bytes(tensor))


def external_bytes(reference: TensorProto) -> int:
    """How many bytes of numbers a reference stands for."""
    return int(next(entry.value for entry in reference.external_data if entry.key == LENGTH))
