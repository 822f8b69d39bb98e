"""Pad rows of different length with zeros, and say how long each is.

A `Width` is how long rows become along one axis: as long as the longest of their batch, a multiple, or a fixed number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from worker.compression.data.inputs.reader import InputReader
from worker.compression.ir.arrays import Array


@runtime_checkable
class PaddingReader(InputReader, Protocol):
    """A reader that pads. `unpadded` is the same one, to be read in batches of rows that are equally long in truth, so
    that nothing is padded but to a length that the model fixes."""

    def unpadded(self) -> InputReader: ...

    def true_shape(self, row: int) -> tuple[int, ...]:
        """The shape of a row before it is padded."""
        ...


def unpadded_reader(reader: InputReader) -> InputReader:
    return reader.unpadded() if isinstance(reader, PaddingReader) else reader


@dataclass(frozen=True)
class Width:
    """`fixed`: always so long; else to the next multiple of `multiple`, 1 for the longest of the batch."""

    fixed: int | None = None
    multiple: int = 1

    def of(self, longest: int) -> int:
        if self.fixed is not None:
            return self.fixed
        return max(1, -(-longest // self.multiple)) * self.multiple


def padded(rows: Sequence[Array], shape: Sequence[int], dtype: np.dtype[Any], *, value: float = 0) -> Array:
    """Put rows into one array [rows, *shape], each at the beginning of every axis."""
    batch = np.full((len(rows), *shape), value, dtype)
    for into, row in zip(batch, rows, strict=True):
        into[tuple(slice(0, length) for length in row.shape)] = row
    return batch


def longest(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the largest size along each axis."""
    return [max(sizes) for sizes in zip(*shapes, strict=True)]
