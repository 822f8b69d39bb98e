"""Write tensors to a file as they are made, and map them from it: what is finished takes no memory."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

PAGE_BYTES: Final = 4096
"""Larger tensors begin at a page, as ONNX Runtime maps them."""
MAX_IN_MEMORY_BYTES: Final = 4096
"""Bytes up to which a tensor stays in memory: onnx's C++ may need it."""


class MappedTensors:
    """One file to append tensors to, in a folder that outlives the model."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def append(
        self, name: str, array: npt.NDArray[Any], dtype: ir.DataType | None = None
    ) -> ir.TensorProtocol:
        """Write the array and return it as a tensor of this name. For `dtype` below a byte the array holds one number
        in each byte, uint8."""
        stored_dtype = ir.DataType.from_numpy(array.dtype) if dtype is None else dtype
        content = array if stored_dtype.bitwidth >= 8 else _two_in_a_byte(array)
        if content.nbytes <= MAX_IN_MEMORY_BYTES:
            return ir.tensor(array if dtype is None else array.astype(dtype.numpy()), name=name)
        return self.append_parts(name, [content], stored_dtype, array.shape)

    def append_parts(
        self, name: str, parts: Iterable[npt.NDArray[Any]], dtype: ir.DataType, shape: Sequence[int]
    ) -> ir.ExternalTensor:
        """Write a tensor of this type and shape part by part, each when it is made, in the order of its numbers."""
        with self._path.open("ab") as file:
            file.write(b"\0" * (-file.tell() % PAGE_BYTES))
            offset = file.tell()
            for part in parts:
                np.ascontiguousarray(part).tofile(file)
            size = file.tell() - offset
        return ir.ExternalTensor(
            self._path.name,
            offset,
            size,
            dtype,
            shape=ir.Shape(shape),
            name=name,
            base_dir=self._path.parent,
        )


def spill_for(model: ir.Model, folder: Path) -> MappedTensors | None:
    """What the weights that a step makes are written to, where those that it reads are mapped from files: models of any
    size then need the memory of their largest layer. None where all are in memory."""
    constants = model.graph.initializers.values()
    if not any(isinstance(value.const_value, ir.ExternalTensor) for value in constants):
        return None
    return MappedTensors(folder / "weights.data")


def release(value: ir.Value) -> None:
    """Unmap the file of an external tensor, until it is read again: each tensor maps all of its file.

    While there are views of it, it stays mapped.
    """
    let_go(value.const_value)


def let_go(tensor: ir.TensorProtocol | None) -> None:
    """Unmap its file in the same way."""
    if isinstance(tensor, ir.ExternalTensor):
        with suppress(BufferError):
            tensor.release()


def _two_in_a_byte(codes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Put 4-bit numbers two in a byte."""
    flat = np.pad(codes.reshape(-1), (0, codes.size % 2))
    return np.asarray(flat[::2] | flat[1::2] << np.uint8(4), np.uint8)
