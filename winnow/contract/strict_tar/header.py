"""One header of a tar: a block of 512 bytes."""

import re
import struct
from dataclasses import dataclass
from typing import Final

BLOCK: Final = 512
MAGIC_AT: Final = 257
MAGIC: Final = b"ustar"

_FIELDS: Final = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")
_POSIX, _GNU = b"ustar\x0000", b"ustar  \x00"
_OCTAL: Final = re.compile(rb" *([0-7]+)[ \0]*")
_CHECKSUM: Final = slice(148, 156)


class BrokenTar(ValueError):
    """The bytes are no tar, or one that readers could read differently."""


@dataclass(frozen=True)
class Header:
    """`kind` is the type flag: `0` a file, `5` a folder, `x`, `g` and `L` tell more of what follows."""

    name: bytes
    size_bytes: int
    kind: bytes


def parse_header(block: bytes) -> Header:
    """Raises `BrokenTar` for what POSIX and GNU tar do not write."""
    name, *others, kind, _, magic, _, _, major, minor, prefix, _ = _FIELDS.unpack(block)
    _, _, _, size, _, checksum = others
    if magic not in (_POSIX, _GNU):
        raise BrokenTar("a header in it is neither POSIX's nor GNU's")
    if _number(checksum) != sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" "):
        raise BrokenTar("the checksum of a header is wrong")
    for field in (*others, major, minor):
        _check_number(field)
    start = _text(prefix)
    if start and magic == _GNU:
        raise BrokenTar("a header of GNU's has a field of POSIX's")
    full = start + b"/" + _text(name) if start else _text(name)
    return Header(full, _number(size), b"0" if kind == b"\0" else kind)


def _text(field: bytes) -> bytes:
    """Up to the first NUL, behind which nothing stands."""
    text, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        raise BrokenTar("a name in it has something behind its end")
    return text


def _number(field: bytes) -> int:
    """Octal digits, or GNU's way for what is too large for these: a first byte of 128, then the number."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = _OCTAL.fullmatch(field)
    if digits is None:
        raise BrokenTar("a number in it is not written as one")
    return int(digits[1], 8)


def _check_number(field: bytes) -> None:
    """Owners and times are not used, but other readers stop at one that they cannot read."""
    if field.strip(b" \0") and field[0] not in (0x80, 0xFF) and not _OCTAL.fullmatch(field):
        raise BrokenTar("a number in it is not written as one")
