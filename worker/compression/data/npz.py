"""Opens an `.npz` that nobody vouches for: no pickles, bounded unpacking, headers read by numpy's own readers.

A stored member is memory-mapped where it lies in the archive; a deflated one is unpacked once, streaming, to a
`.npy` in scratch and mapped there. Bounds are per archive, because one member of honest labels may compress 500:1.
"""

import errno
import hashlib
import logging
import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from app.contract.errors import Refusal

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

MAX_RATIO = 100
MAX_MEMBERS = 10_000
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)
"""What zipfile raises for broken or encrypted archives."""
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""A zip member's local header: signature, …, length of the name, length of the extra field."""


@dataclass(frozen=True)
class _Layout:
    """What a `.npy` header says; `offset` is where the values begin, in bytes from the start of the member."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    offset: int


def open_arrays(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> dict[str, Array]:
    """The arrays of an archive, memory-mapped and read-only, by name (without `.npy`).

    Refuses with `invalid_dataset` (no zip, truncated, lying or duplicated members), `unsafe_archive` (unpacks to
    more than 100 times its size or than `max_unpacked_bytes`) and `pickle_refused` (arrays of Python objects).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.stat().st_size, max_unpacked_bytes)
            return {name: _open(archive, path, info, scratch) for name, info in members.items()}
    except DAMAGED as error:
        raise _unreadable(error) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset before the start; a full disk is no fault of the file
            raise
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> Refusal:
    return Refusal(
        "invalid_dataset",
        f"A dataset is an .npz as numpy.savez writes it, but this file cannot be read as one ({error}). "
        "Write it again and upload it whole.",
    )


def _members(archive: zipfile.ZipFile, size: int, cap: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if not infos or len(infos) > MAX_MEMBERS:
        raise Refusal(
            "invalid_dataset", f"The archive has {len(infos)} members; expected 1 to {MAX_MEMBERS} arrays."
        )
    strangers = [info.filename for info in infos if not info.filename.endswith(".npy") or info.flag_bits & 1]
    if strangers:
        raise Refusal(
            "invalid_dataset",
            f"An .npz holds plain .npy members only, but this one has {strangers[0]!r}. "
            "Write it with numpy.savez or numpy.savez_compressed.",
        )
    twice = [name for name, times in Counter(info.filename for info in infos).items() if times > 1]
    if twice:
        raise Refusal("invalid_dataset", f"The archive has {twice[0]!r} more than once; names must differ.")
    _check_size(sum(info.file_size for info in infos), size, cap)
    return {info.filename.removesuffix(".npy"): info for info in infos}


def _check_size(unpacked: int, packed: int, cap: int) -> None:
    allowed = min(cap, MAX_RATIO * packed)
    if unpacked > allowed:
        raise Refusal(
            "unsafe_archive",
            f"The archive of {packed} bytes unpacks to {unpacked}; at most {allowed} bytes are allowed "
            f"({MAX_RATIO} times its size, and {cap} in all). Upload it uncompressed (numpy.savez) or smaller.",
        )


def _open(archive: zipfile.ZipFile, path: Path, info: zipfile.ZipInfo, scratch: Path) -> Array:
    with archive.open(info) as stream:
        layout = _layout(stream, info)
    if info.compress_type == zipfile.ZIP_STORED:
        return _mapped(path, info, layout, _data_offset(path, info) + layout.offset)
    return _mapped(_unpacked(archive, path, info, scratch), info, layout, layout.offset)


def _layout(stream: IO[bytes], info: zipfile.ZipInfo) -> _Layout:
    """The header of a member, checked against the size that the archive gives it."""
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version](stream)
    except (ValueError, KeyError) as error:
        raise _lying(info, f"its header cannot be read ({error})") from error
    if dtype.hasobject:
        raise Refusal(
            "pickle_refused",
            f"Array {info.filename!r} holds Python objects, which are pickles. Save it with a numeric dtype.",
        )
    layout = _Layout(dtype, shape, fortran, stream.tell())
    if min(shape, default=0) < 0 or layout.offset + math.prod(shape) * dtype.itemsize != info.file_size:
        raise _lying(info, f"its header says {dtype} {list(shape)}, the member has {info.file_size} bytes")
    return layout


def _lying(info: zipfile.ZipInfo, why: str) -> Refusal:
    return Refusal(
        "invalid_dataset", f"Array {info.filename!r} is not valid: {why}. Write it with numpy.savez."
    )


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(info.header_offset)
        _, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return int(info.header_offset + LOCAL_HEADER.size + name + extra)


def _mapped(path: Path, info: zipfile.ZipInfo, layout: _Layout, offset: int) -> Array:
    if math.prod(layout.shape) == 0 or layout.dtype.itemsize == 0:
        return np.empty(layout.shape, layout.dtype)
    if offset + math.prod(layout.shape) * layout.dtype.itemsize > path.stat().st_size:
        raise _lying(info, "it reaches beyond the end of the archive")
    order: Literal["F", "C"] = "F" if layout.fortran else "C"
    return np.memmap(path, dtype=layout.dtype, mode="r", offset=offset, shape=layout.shape, order=order)


def _unpacked(archive: zipfile.ZipFile, path: Path, info: zipfile.ZipInfo, scratch: Path) -> Path:
    """The member as a file of its own. The rename makes it whole or absent, so what is there can be used again."""
    folder = scratch / _identity(path)
    target = folder / (hashlib.sha256(info.filename.encode()).hexdigest()[:32] + ".npy")
    if target.exists() and target.stat().st_size == info.file_size:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
        try:
            with archive.open(info) as stream:
                shutil.copyfileobj(stream, part, 1 << 20)
            part.flush()
            Path(part.name).replace(target)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    log.info("unpacked %s of %s: %d bytes", info.filename, path.name, info.file_size)
    return target


def _identity(path: Path) -> str:
    """Tells archives in one scratch apart: a file's place, size and time of change."""
    facts = path.stat()
    key = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]
