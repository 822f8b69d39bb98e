"""Check that every tensor of a file holds what it declares, or lies in a plain file beside it."""

import math
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.ir.protobuf_walk import messages

TYPED_FIELDS: Final = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
EXTERNAL_KEYS: Final = frozenset({"location", "offset", "length", "checksum"})
MAX_DENSE_BYTES: Final = 2**31
"""What all sparse tensors of a file may become when they are made dense."""


def check_tensors(model: onnx.ModelProto, folder: Path | None) -> None:
    """Check every tensor, also in subgraphs, functions and sparse values. `folder` holds the external data.

    Raises `Refusal` `unsafe_external_data` (None for `folder`: any external tensor) or `invalid_model`.
    """
    for tensor in messages(model, onnx.TensorProto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            _check_external(tensor, folder)
        else:
            _check_length(tensor)
    dense = sum(_dense_bytes(sparse) for sparse in messages(model, onnx.SparseTensorProto))
    if dense > MAX_DENSE_BYTES:
        raise Refusal(
            "model_too_complex",
            f"The sparse tensors of this model take {dense} bytes when made dense; 2 GiB is the most.",
        )


def byte_count(tensor: onnx.TensorProto) -> int | None:
    """Compute the bytes that dtype and shape promise; None for strings, which have no fixed length."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return None
    return -(-_count(tensor.dims) * _dtype(tensor).bitwidth // 8)


def _count(dims: Iterable[int]) -> int:
    return math.prod(int(dim) for dim in dims)


def _dtype(tensor: onnx.TensorProto) -> ir.DataType:
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError:
        dtype = ir.DataType.UNDEFINED
    if dtype == ir.DataType.UNDEFINED or any(dim < 0 for dim in tensor.dims):
        raise _invalid(tensor, f"has the unknown data type {tensor.data_type} or a negative dimension")
    return dtype


def _check_length(tensor: onnx.TensorProto) -> None:
    promised, dtype = byte_count(tensor), _dtype(tensor)
    typed = sum(len(getattr(tensor, field)) for field in TYPED_FIELDS)
    if tensor.HasField("segment"):
        raise _invalid(tensor, "is stored in segments, which nothing reads")
    if promised is not None and tensor.HasField("raw_data"):
        if len(tensor.raw_data) != promised or typed:
            raise _invalid(tensor, f"should hold {promised} bytes and holds {len(tensor.raw_data)}")
    elif typed != (expected := _entries(tensor, dtype)):
        raise _invalid(tensor, f"should hold {expected} entries and holds {typed}")


def _entries(tensor: onnx.TensorProto, dtype: ir.DataType) -> int:
    """Count the entries of the typed field: complex numbers take two, several numbers below a byte share one."""
    count = _count(tensor.dims)
    if dtype in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        return count * 2
    if dtype != ir.DataType.STRING and dtype.bitwidth < 8:
        return -(-count * dtype.bitwidth // 8)
    return count


def _dense_bytes(sparse: onnx.SparseTensorProto) -> int:
    if any(dim < 0 for dim in sparse.dims):
        raise _invalid(sparse.values, "has a negative dimension")
    return _count(sparse.dims) * max(_dtype(sparse.values).bitwidth // 8, 1)


def _check_external(tensor: onnx.TensorProto, folder: Path | None) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise _unsafe(
            tensor,
            f"keeps its data in another file, {location!r}. Upload the .onnx and that file together as a tar or zip",
        )
    if len(entries) != len(tensor.external_data) or set(entries) - EXTERNAL_KEYS:
        raise _unsafe(
            tensor, f"describes its file with repeated or unknown keys ({', '.join(sorted(entries))})"
        )
    if location != Path(location).name or location in ("", ".", "..") or "\\" in location:
        raise _unsafe(tensor, f"names the file {location!r}; only a plain name beside the .onnx is read")
    _check_span(tensor, entries, _plain_file(tensor, folder / location))


def _plain_file(tensor: onnx.TensorProto, path: Path) -> int:
    """Return the size of a regular file with one link: a hard link could be anybody's, and ONNX Runtime reads it."""
    try:
        status = path.lstat()
    except (OSError, ValueError) as error:
        raise _unsafe(tensor, f"names the file {path.name!r}, which is not in the archive") from error
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise _unsafe(tensor, f"names {path.name!r}, which is a link or no regular file")
    return status.st_size


def _check_span(tensor: onnx.TensorProto, entries: dict[str, str], size: int) -> None:
    promised = byte_count(tensor)
    offset, length = entries.get("offset", "0"), entries.get("length", str(promised))
    if promised is None or not (
        offset.isascii() and offset.isdigit() and length.isascii() and length.isdigit()
    ):
        raise _unsafe(tensor, f"has offset {offset!r} and length {length!r}; whole numbers were expected")
    if int(length) != promised or int(offset) + promised > size:
        raise _unsafe(
            tensor,
            f"needs {promised} bytes at offset {offset} (it says {length}), and the file has {size}",
        )


def _invalid(tensor: onnx.TensorProto, what: str) -> Refusal:
    return Refusal(
        "invalid_model",
        f"The tensor {tensor.name!r} of shape {list(tensor.dims)} {what}. Export the model again.",
    )


def _unsafe(tensor: onnx.TensorProto, what: str) -> Refusal:
    return Refusal("unsafe_external_data", f"The tensor {tensor.name!r} {what}.")
