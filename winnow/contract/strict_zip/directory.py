"""The directory of a zip, and each member's own header, held against each other."""

import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from winnow.contract.strict_zip.end_record import ENTRY, FULL32, BrokenZip, read_end, read_exactly
from winnow.contract.strict_zip.names import MAX_NAME_BYTES, unsafe

MAX_DIRECTORY_BYTES: Final = 8 * 2**20
DIRECTORY_BYTES_PER_MEMBER: Final = 256
"""Where more members are read than these bytes have room for: entry, name and extra fields, on average."""

LOCAL: Final = struct.Struct("<4sBx2H4x3I2H")
EXTRA: Final = struct.Struct("<2H")

STORED, DEFLATED = 0, 8
DESCRIBED, UTF8 = 1 << 3, 1 << 11
"""Flags: sizes follow the content; the name is UTF-8. The bits for deflate's effort say nothing to a reader."""
FLAGS: Final = DESCRIBED | UTF8 | 0b110
ZIP64: Final = 0x0001
EXTRAS: Final = frozenset({ZIP64, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0x4246})
"""zip64; times and owners as NTFS and Unix write them; torch's padding. Not the one that gives another name."""
DOS_FOLDER: Final = 0x10
NEWEST: Final = 63
"""Version of the format, times ten. Python's reader goes no further."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member; `offset` is where its `packed_bytes` begin in the file. A folder's name ends with `/`."""

    name: str
    size_bytes: int
    packed_bytes: int
    crc32: int
    deflated: bool
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as the directory tells of it."""

    raw_name: bytes
    flags: int
    method: int
    crc32: int
    packed_bytes: int
    size_bytes: int
    header: int


def read_members(file: BinaryIO, *, max_members: int) -> list[Member]:
    """All members, in the order in which they lie. Nothing is read before its length is known to be in bounds.

    Raises `BrokenZip`, and `Refusal` `unsafe_archive` for too many members, links, special files, encryption.
    """
    end = read_end(file)
    if end.count > max_members:
        raise unsafe(f"it has {end.count} members, more than {max_members}")
    most = max(MAX_DIRECTORY_BYTES, DIRECTORY_BYTES_PER_MEMBER * max_members)
    if end.stop - end.start > most:
        raise unsafe(f"its directory has more than {most} bytes")
    entries = _entries(read_exactly(file, end.start, end.stop - end.start), end.count)
    entries.sort(key=lambda entry: entry.header)
    first, last = (entries[0].header, entries[-1].header) if entries else (end.start, 0)
    if first != 0 or last > end.start:
        raise BrokenZip("it begins with something else, or was cut short")
    members, stop = [], end.start
    while entries:  # each entry goes as its member comes: there may be a million of them
        entry = entries.pop()
        members.append(_member(file, entry, stop))
        stop = entry.header
    return members[::-1]


def _entries(directory: bytes, count: int) -> list[Entry]:
    entries, at = [], 0
    for _ in range(count):
        entry, at = _entry(directory, at)
        entries.append(entry)
    if at != len(directory):
        raise BrokenZip("its directory has something behind its last entry")
    return entries


def _entry(directory: bytes, at: int) -> tuple[Entry, int]:
    if at + ENTRY.size > len(directory):
        raise BrokenZip("its directory ends early")
    fields = ENTRY.unpack_from(directory, at)
    magic, needed, flags, method, crc, packed, size, names, extras, comment, disk, attributes, header = fields
    at += ENTRY.size
    stop = at + names + extras + comment
    if magic != b"PK\x01\x02" or stop > len(directory) or disk or needed > NEWEST:
        raise BrokenZip("an entry of its directory is not valid")
    name, extra = directory[at : at + names], directory[at + names : at + names + extras]
    _check_kind(name, flags, method, attributes)
    size, packed, header = _widened(extra, size, packed, header)
    if method == STORED and packed != size:
        raise BrokenZip(f"{_shown(name)} is stored with two sizes")
    return Entry(name, flags, method, crc, packed, size, header), stop


def _check_kind(name: bytes, flags: int, method: int, attributes: int) -> None:
    if not 0 < len(name) <= MAX_NAME_BYTES:
        raise unsafe(f"a file in it has no name, or one of more than {MAX_NAME_BYTES} bytes")
    kind, is_folder = stat.S_IFMT(attributes >> 16), name.endswith(b"/")
    if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG) or (
        attributes & DOS_FOLDER and not is_folder
    ):
        raise unsafe(f"{_shown(name)} is a link or a special file")
    if flags & ~FLAGS:
        raise unsafe(f"{_shown(name)} is encrypted, or uses what is not read here (flags {flags:#x})")
    if method not in (STORED, DEFLATED):
        raise unsafe(f"{_shown(name)} is compressed by method {method}; stored and deflated are read")


def _widened(extra: bytes, *fields: int) -> list[int]:
    """The fields, those that are full taken from the zip64 record, which holds exactly these."""
    if not extra and FULL32 not in fields:
        return list(fields)
    wide = _extras(extra).get(ZIP64, b"")
    full = [field == FULL32 for field in fields]
    if len(wide) != 8 * sum(full):
        raise BrokenZip("a zip64 record in it does not fit its entry")
    values = iter(struct.unpack(f"<{sum(full)}Q", wide))
    return [next(values) if is_full else field for field, is_full in zip(fields, full, strict=True)]


def _extras(extra: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        if at + EXTRA.size > len(extra):
            raise BrokenZip("an extra field in it is not valid")
        key, length = EXTRA.unpack_from(extra, at)
        at += EXTRA.size + length
        if at > len(extra) or key in found or key not in EXTRAS:
            raise BrokenZip(f"an extra field in it ({key:#06x}) is not valid or not known")
        found[key] = extra[at - length : at]
    return found


def _member(file: BinaryIO, entry: Entry, stop: int) -> Member:
    """The member whose header, content and descriptor fill the file up to `stop`."""
    fields = LOCAL.unpack(read_exactly(file, entry.header, LOCAL.size))
    magic, needed, flags, method, crc, packed, size, names, extras = fields
    if (
        magic != b"PK\x03\x04"
        or needed > NEWEST
        or (flags, method, names) != (entry.flags, entry.method, len(entry.raw_name))
    ):
        raise _differs(entry)
    head = read_exactly(file, entry.header + LOCAL.size, names + extras)
    size, packed = _widened(head[names:], size, packed)
    told, known = (crc, packed, size), (entry.crc32, entry.packed_bytes, entry.size_bytes)
    later = bool(flags & DESCRIBED) and told == (0, 0, 0)
    if head[:names] != entry.raw_name or not (told == known or later):
        raise _differs(entry)
    offset = entry.header + LOCAL.size + names + extras
    _check_rest(file, entry, offset + entry.packed_bytes, stop)
    return Member(_name(entry), entry.size_bytes, entry.packed_bytes, entry.crc32, method == DEFLATED, offset)


def _differs(entry: Entry) -> BrokenZip:
    return BrokenZip(f"{_shown(entry.raw_name)} has a header that differs from the directory")


def _check_rest(file: BinaryIO, entry: Entry, at: int, stop: int) -> None:
    """Behind the content comes nothing but, where the flag is set, a descriptor that repeats the sizes."""
    values = (entry.crc32, entry.packed_bytes, entry.size_bytes)
    descriptors: list[bytes] = [b""]
    if entry.flags & DESCRIBED:
        bare = [struct.pack("<I2Q", *values)] + [struct.pack("<3I", *values)] * (max(values) <= FULL32)
        descriptors = [*bare, *(b"PK\x07\x08" + each for each in bare)]
    if not 0 <= stop - at <= 24 or read_exactly(file, at, stop - at) not in descriptors:
        raise BrokenZip(
            f"{_shown(entry.raw_name)} overlaps what follows, or is followed by something unknown"
        )


def _name(entry: Entry) -> str:
    try:
        return entry.raw_name.decode("utf-8" if entry.flags & UTF8 else "ascii")
    except UnicodeDecodeError:
        raise unsafe(f"{_shown(entry.raw_name)} has a name that is not marked as UTF-8, or is not") from None


def _shown(name: bytes) -> str:
    return repr(name[:80].decode("utf-8", "replace"))
