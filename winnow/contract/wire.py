"""The fields of a protobuf message, where they lie in its bytes: read without any library that knows the message.

A field is a tag (its number and wire type) and a number, eight or four bytes, or a length and so many bytes.
"""

import mmap
from collections.abc import Iterator
from typing import Final

Bytes = bytes | mmap.mmap
Span = tuple[int, int]
"""Where something begins, and where it has ended."""

VARINT: Final = 0
WITH_LENGTH: Final = 2
FIXED_SIZES: Final = {1: 8, 5: 4}
"""wire type → bytes"""
MAX_VARINT_BYTES: Final = 10


def fields(content: Bytes, begin: int, end: int) -> Iterator[tuple[int, Span, Span]]:
    """Yield for each field its number, where all of it is, and where its content is. Raises `ValueError`."""
    while begin < end:
        tag, at = varint(content, begin)
        if tag < 8:
            raise ValueError(f"byte {begin} begins no field: there is no field 0")
        wire = tag & 7
        if wire == WITH_LENGTH:
            length, at = varint(content, at)
            after = at + length
        elif wire in FIXED_SIZES:
            after = at + FIXED_SIZES[wire]
        elif wire == VARINT:
            after = varint(content, at)[1]
        else:
            raise ValueError(f"byte {begin} begins no field: there is no wire type {wire}")
        if after > end:
            raise ValueError(f"the field at byte {begin} is cut short")
        yield tag >> 3, (begin, after), (at, after)
        begin = after


def varint(content: Bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it has ended. Raises `ValueError`."""
    value = 0
    for place, shift in enumerate(range(0, 7 * MAX_VARINT_BYTES, 7), at):
        if place >= len(content):
            raise ValueError("it ends within a number")
        byte = content[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
    raise ValueError(f"the number at byte {at} has no end")


def signed(value: int) -> int:
    """What an int64 that came as a varint stands for."""
    return value - 2**64 if value >= 2**63 else value
