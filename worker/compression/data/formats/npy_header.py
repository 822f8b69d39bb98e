"""Read the header of a `.npy` by a grammar of ours: numpy evaluates it as Python, and knows dtypes that are programs.

\\x93NUMPY, version 1.0 or 2.0, length, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } and spaces
"""

import math
import re
import struct
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

MAGIC: Final = b"\x93NUMPY"
MAX_HEADER_BYTES: Final = 4096
MAX_DIMENSIONS: Final = 32
MAX_TEXT_CHARACTERS: Final = 10_000
"""Of one element, in arrays of text; these are never inputs, but may lie beside them."""
MAX_EMPTY_ROWS: Final = 1_000_000

_LENGTHS: Final = {b"\x01\x00": struct.Struct("<H"), b"\x02\x00": struct.Struct("<I")}
_HEADER: Final = re.compile(
    r"\{'descr': ?'([^']{1,16})', ?'fortran_order': ?(True|False), ?'shape': ?\(([0-9, ]*)\),? ?\} *\n?"
)
_SHAPE: Final = re.compile(r"(?:[0-9]{1,19}, ?)*(?:[0-9]{1,19})?")
_NUMBERS: Final = re.compile(r"[<>|](b1|[iu][1248]|f[248]|c8|c16)")
_TEXT: Final = re.compile(r"[<>|][US]([1-9][0-9]{0,4})")
_OBJECTS: Final = re.compile(r"\|?O[0-9]?")


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class BadHeader(ValueError):
    """The header is none of those that are read here."""


class HoldsPickles(ValueError):
    """The array holds Python objects."""


@dataclass(frozen=True)
class NpyHeader:
    """`offset` is where the values begin, in bytes from the start of the member."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    offset: int

    @property
    def size_bytes(self) -> int:
        """Bytes of header and values."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: Readable) -> NpyHeader:
    """Read a header from its first byte. Raises `BadHeader`, `HoldsPickles`, and what reading raises."""
    start = _exactly(stream, len(MAGIC) + 2)
    length_of = _LENGTHS.get(start[len(MAGIC) :])
    if not start.startswith(MAGIC) or length_of is None:
        raise BadHeader("it does not begin like a .npy of version 1.0 or 2.0")
    (length,) = length_of.unpack(_exactly(stream, length_of.size))
    if length > MAX_HEADER_BYTES:
        raise BadHeader(f"its header has {length} bytes, more than {MAX_HEADER_BYTES}")
    text = _exactly(stream, length).decode("latin-1")
    return parse_header(text, len(start) + length_of.size + length)


def parse_header(text: str, offset: int) -> NpyHeader:
    """Parse the text of a header. Raises `BadHeader`, `HoldsPickles`."""
    fields = _HEADER.fullmatch(text)
    if fields is None or not _SHAPE.fullmatch(fields[3]):
        raise BadHeader(
            f"its header {text.strip()[:100]!r} does not look like "
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"
        )
    shape = tuple(int(number) for number in fields[3].replace(" ", "").split(",") if number)
    _check_shape(shape)
    return NpyHeader(_dtype(fields[1]), shape, fields[2] == "True", offset)


def _dtype(text: str) -> np.dtype[Any]:
    if _OBJECTS.fullmatch(text):
        raise HoldsPickles
    characters = _TEXT.fullmatch(text)
    if not _NUMBERS.fullmatch(text) and not (characters and int(characters[1]) <= MAX_TEXT_CHARACTERS):
        raise BadHeader(f"its dtype {text!r} is none of bool, integers, floats, complex numbers and text")
    return np.dtype(text)


def _check_shape(shape: tuple[int, ...]) -> None:
    """Bound the shape: an array of no elements may claim any in no bytes, and its rows must not take memory."""
    if len(shape) > MAX_DIMENSIONS:
        raise BadHeader(f"it has {len(shape)} dimensions, more than {MAX_DIMENSIONS}")
    if math.prod(max(length, 1) for length in shape) > 2**56:
        raise BadHeader(f"its shape {list(shape)} is beyond all memory")
    if 0 in shape and shape[0] > MAX_EMPTY_ROWS:
        raise BadHeader(f"its {shape[0]} rows are empty, and more than {MAX_EMPTY_ROWS}")


def _exactly(stream: Readable, length: int) -> bytes:
    parts, remaining = [], length
    while remaining and (part := stream.read(remaining)):
        parts.append(part)
        remaining -= len(part)
    if remaining:
        raise BadHeader("it ends before its header does")
    return b"".join(parts)
