"""Measure files on disk, and hash them."""

import hashlib
import math
from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir
import zstandard
from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

from winnow.contract.container import level
from worker.compression.data.ranges.ranged import known_sha256
from worker.compression.onnx_files.single_file import without_raw_data

CHUNK_BYTES: Final = 2**20


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of the file's bytes, in hex; of a dataset of which not all is here it is known."""
    if (known := known_sha256(path)) is not None:
        return known
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_of(*paths: Path) -> int:
    """Count the bytes of ONNX files with the external data that they name, once where several name the same."""
    return sum(part.stat().st_size for part in _parts(*paths))


def bytes_read_of(path: Path) -> int:
    """Count the bytes of an ONNX file and of those that it reads of the files beside it: of one that others read too,
    its own weights alone, each byte once."""
    tensors = _get_all_tensors(without_raw_data(path))
    places = sorted({_place(tensor) for tensor in tensors if uses_external_data(tensor)})
    size, last, end = path.stat().st_size, "", 0
    for name, begin, stop in places:
        end = end if name == last else 0
        size += max(0, stop - max(begin, end))
        last, end = name, max(stop, end)
    return size


def _place(tensor: onnx.TensorProto) -> tuple[str, int, int]:
    """The file, and from where to where in it."""
    info = ExternalDataInfo(tensor)
    begin, bits = info.offset or 0, ir.DataType(tensor.data_type).bitwidth
    return info.location, begin, begin + -(-math.prod(tensor.dims) * bits // 8)


def compressed_bytes_of(*paths: Path) -> int:
    """Count the bytes of the same files as zstd, each by itself, as a download sends them."""
    return sum(map(_compressed, _parts(*paths)))


def _parts(*paths: Path) -> list[Path]:
    return [*dict.fromkeys(part for path in paths for part in _parts_of(path))]


def _parts_of(path: Path) -> list[Path]:
    tensors = _get_all_tensors(without_raw_data(path))
    beside = {str(ExternalDataInfo(tensor).location) for tensor in tensors if uses_external_data(tensor)}
    return [path, *(path.parent / name for name in sorted(beside))]


def _compressed(path: Path) -> int:
    size = path.stat().st_size
    compressor = zstandard.ZstdCompressor(level=level(size)).compressobj(size=size)
    with path.open("rb") as file:
        sent = sum(len(compressor.compress(chunk)) for chunk in iter(lambda: file.read(CHUNK_BYTES), b""))
    return sent + len(compressor.flush())
