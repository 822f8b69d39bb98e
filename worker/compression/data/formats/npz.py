"""Opens an `.npz` that nobody vouches for: the archive and each header are read by strict readers of ours.

A stored member is memory-mapped where it lies in the archive; a deflated one is unpacked once, streaming, to a
`.npy` in scratch and mapped there. Bounds are per archive, because one member of honest labels may compress 500:1.
"""

import hashlib
import logging
import math
import shutil
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.strict_zip import BrokenZip, Member, ZipArchive, open_zip
from worker.compression.data.formats.npy_header import BadHeader, HoldsPickles, NpyHeader, read_header
from worker.compression.data.ranges.ranged import is_ranged, opened
from worker.compression.data.ranges.ranged_array import RangedArray, ranged_array
from worker.compression.data.scratch import identity
from worker.compression.ir.arrays import Array

log = logging.getLogger(__name__)


def open_arrays(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> dict[str, Array | RangedArray]:
    """The arrays of an archive, memory-mapped and read-only, by name (without `.npy`).

    Refuses with `invalid_dataset` (no zip, truncated or lying members), `unsafe_archive` (duplicated members, unpacks
    to more than 100 times its size or than `max_unpacked_bytes`) and `pickle_refused` (arrays of Python objects).
    """
    try:
        with opened(path) as file:
            archive = open_zip(file, max_bytes=max_unpacked_bytes, ignore_case=False)
            _check_names(archive)
            return {
                name.removesuffix(".npy"): _open(archive, path, member, scratch)
                for name, member in archive.members.items()
            }
    except BrokenZip as error:
        raise Refusal(
            "invalid_dataset",
            f"A dataset is an .npz as numpy.savez writes it, but this file cannot be read as one ({error}). "
            "Write it again and upload it whole.",
        ) from error


def _check_names(archive: ZipArchive) -> None:
    if not archive.members:
        raise Refusal("invalid_dataset", "The archive has no members; one array at least was expected.")
    strangers = [name for name in archive.members if not name.endswith(".npy")]
    if strangers:
        raise Refusal(
            "invalid_dataset",
            f"An .npz holds plain .npy members only, but this one has {strangers[0][:80]!r}. "
            "Write it with numpy.savez or numpy.savez_compressed.",
        )


def _open(archive: ZipArchive, path: Path, member: Member, scratch: Path) -> Array | RangedArray:
    header = _header(archive, member)
    if member.deflated:
        return mapped(_unpacked(archive, path, member, scratch), header, header.offset)
    return mapped(path, header, member.offset + header.offset)


def _header(archive: ZipArchive, member: Member) -> NpyHeader:
    """The header of a member, checked against the size that the archive gives it."""
    try:
        header = read_header(archive.stream(member.name))
    except HoldsPickles as error:
        raise Refusal(
            "pickle_refused",
            f"Array {member.name[:80]!r} holds Python objects, which are pickles. Save it with a numeric dtype.",
        ) from error
    except BadHeader as error:
        raise _lying(member, str(error)) from error
    if header.size_bytes != member.size_bytes:
        dtype, shape = header.dtype, list(header.shape)
        raise _lying(member, f"its header says {dtype} {shape}, the member has {member.size_bytes} bytes")
    return header


def _lying(member: Member, why: str) -> Refusal:
    return Refusal(
        "invalid_dataset", f"Array {member.name[:80]!r} is not valid: {why}. Write it with numpy.savez."
    )


def mapped(path: Path, header: NpyHeader, offset: int) -> Array | RangedArray:
    """Map the values that begin at `offset`, read-only."""
    if math.prod(header.shape) == 0:
        return np.empty(header.shape, header.dtype)
    order: Literal["F", "C"] = "F" if header.fortran else "C"
    if is_ranged(path):
        return ranged_array(path, header.dtype, header.shape, offset, order)
    return np.memmap(path, dtype=header.dtype, mode="r", offset=offset, shape=header.shape, order=order)


def _unpacked(archive: ZipArchive, path: Path, member: Member, scratch: Path) -> Path:
    """The member as a file of its own. The rename makes it whole or absent, so what is there can be used again."""
    folder = scratch / identity(path)
    target = folder / (hashlib.sha256(member.name.encode()).hexdigest()[:32] + ".npy")
    if target.exists() and target.stat().st_size == member.size_bytes:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
        try:
            shutil.copyfileobj(archive.stream(member.name), part, 1 << 20)
            part.flush()
            Path(part.name).replace(target)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    log.info("unpacked %s of %s: %d bytes", member.name, path.name, member.size_bytes)
    return target
