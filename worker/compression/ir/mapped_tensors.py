"""Tensors written to a file as they are made, and mapped from it: what is finished takes no memory."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

ALIGNED: Final = 4096
"""Larger tensors begin at a page, as ONNX Runtime maps them."""
IN_MEMORY: Final = 4096
"""Bytes up to which a tensor stays in memory: onnx's C++ may need it."""


class Spill:
    """Appends to one file in a folder that outlives the model."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def tensor(
        self, name: str, array: npt.NDArray[Any], dtype: ir.DataType | None = None
    ) -> ir.TensorProtocol:
        """The array under this name. For `dtype` below a byte the array holds one number in each byte, uint8."""
        kept = ir.DataType.from_numpy(array.dtype) if dtype is None else dtype
        content = array if kept.bitwidth >= 8 else _halved(array)
        if content.nbytes <= IN_MEMORY:
            return ir.tensor(array if dtype is None else array.astype(dtype.numpy()), name=name)
        with self._path.open("ab") as file:
            file.write(b"\0" * (-file.tell() % ALIGNED))
            offset = file.tell()
            np.ascontiguousarray(content).tofile(file)
        return ir.ExternalTensor(
            self._path.name,
            offset,
            content.nbytes,
            kept,
            shape=ir.Shape(array.shape),
            name=name,
            base_dir=self._path.parent,
        )


def release(value: ir.Value) -> None:
    """Unmap the file of an external tensor, until it is read again: each tensor maps all of its file.

    While there are views of it, it stays mapped.
    """
    if isinstance(value.const_value, ir.ExternalTensor):
        with suppress(BufferError):
            value.const_value.release()


def _halved(codes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """4-bit numbers, two in a byte."""
    flat = np.pad(codes.reshape(-1), (0, codes.size % 2))
    return np.asarray(flat[::2] | flat[1::2] << np.uint8(4), np.uint8)
