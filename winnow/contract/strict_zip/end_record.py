"""The end record of a zip: how many members its directory has, and where the directory lies."""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

END: Final = struct.Struct("<4s4H2IH")
LOCATOR64: Final = struct.Struct("<4sIQI")
END64: Final = struct.Struct("<4sQ2H2I4Q")
ENTRY: Final = struct.Struct("<4s2xBx2H4x3I4H2x2I")
"""An entry of the directory; needed here because so many bytes at least are there for each member."""

FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
"""A field that says: look into the zip64 record."""


class BrokenZip(ValueError):
    """The bytes are no zip, or one that readers could read differently."""


@dataclass(frozen=True)
class End:
    """How many members the directory has, and where in the file it lies (bytes from the start)."""

    count: int
    start: int
    stop: int


def read_end(file: BinaryIO) -> End:
    """The end record, which ends the file; with zip64, both of them. Reads 98 bytes at most.

    Raises `BrokenZip`.
    """
    at = file.seek(0, os.SEEK_END) - END.size
    magic, disk, first, here, count, length, start, comment = END.unpack(read_exactly(file, at, END.size))
    if magic != b"PK\x05\x06" or comment:
        raise BrokenZip("it does not end with a zip's end record: cut short, or followed by a comment")
    if disk or first or here != count:
        raise BrokenZip("it is one part of several")
    before = at - LOCATOR64.size
    if before >= 0 and read_exactly(file, before, 4) == b"PK\x06\x07":
        return _read_end64(file, before, (count, length, start))
    return _end(count, start, length, at)


def _read_end64(file: BinaryIO, locator: int, short: tuple[int, int, int]) -> End:
    """The zip64 end record. What the short one says is the same, or that it stands here."""
    at = locator - END64.size
    if LOCATOR64.unpack(read_exactly(file, locator, LOCATOR64.size)) != (b"PK\x06\x07", 0, at, 1):
        raise BrokenZip("its zip64 locator points elsewhere")
    magic, rest, _, _, disk, first, here, count, length, start = END64.unpack(
        read_exactly(file, at, END64.size)
    )
    if magic != b"PK\x06\x06" or rest != END64.size - 12 or disk or first or here != count:
        raise BrokenZip("its zip64 end record is not valid")
    told = zip(short, (FULL16, FULL32, FULL32), (count, length, start), strict=True)
    if any(value not in (full, long) for value, full, long in told):
        raise BrokenZip("its two end records differ")
    return _end(count, start, length, at)


def _end(count: int, start: int, length: int, stop: int) -> End:
    if start + length != stop or length < count * ENTRY.size:
        raise BrokenZip("its directory is not where its end record says, or was cut short")
    return End(count, start, stop)


def read_exactly(file: BinaryIO, at: int, length: int) -> bytes:
    """Exactly `length` bytes. Raises `BrokenZip` where the file has no such place."""
    if at < 0:
        raise BrokenZip("it is too short")
    file.seek(at)
    content = file.read(length)
    if len(content) != length:
        raise BrokenZip("it was cut short")
    return content
