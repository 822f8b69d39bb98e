"""An array of which rows are fetched when they are read."""

import math
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from worker.compression.data.ranges.ranged import Ranges, ranges_of
from worker.compression.ir.arrays import Array

WHOLE_BYTES: Final = 2**24
"""An array, or a column, of at most so many bytes is fetched as a whole."""


def ranged_array(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, order: Literal["F", "C"]
) -> "Array | RangedArray":
    """Map an array of a dataset of which not all is here: as a whole where it is small, or one number a row, or where
    its rows do not lie one behind the other."""
    ranges = ranges_of(path)
    array = np.memmap(ranges.file, dtype=dtype, mode="r", offset=offset, shape=shape, order=order)
    rows = RangedArray(ranges, array, offset)
    if order == "F" or array.nbytes <= WHOLE_BYTES or math.prod(shape[1:]) <= 1:
        return np.asanyarray(rows)
    return rows


class RangedArray:
    """`Numbers` whose rows are there when they are indexed; all of them when numpy takes it for an array."""

    def __init__(self, ranges: Ranges, array: Array, offset: int) -> None:
        self._ranges, self._array, self._offset = ranges, array, offset
        self.dtype, self.shape, self.ndim = array.dtype, array.shape, array.ndim

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: Any) -> Any:
        first = rows[0] if isinstance(rows, tuple) else rows
        for start, stop in _runs(first, len(self)):
            self._need(start, stop)
        return self._array[rows]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        self._need(0, len(self))
        return np.array(self._array, dtype) if copy else np.asanyarray(self._array, dtype)

    def _need(self, start: int, stop: int) -> None:
        row = self._array.nbytes // max(len(self), 1)
        self._ranges.need(self._offset + start * row, self._offset + stop * row)


def _runs(rows: Any, length: int) -> list[tuple[int, int]]:
    """Neighbouring rows together, as (first, behind the last); all of them where it cannot be said."""
    if isinstance(rows, slice):
        chosen = range(length)[rows]
        low, high = (chosen[0], chosen[-1]) if chosen else (0, -1)
        return [(min(low, high), max(low, high) + 1)] if chosen else []
    numbers = np.atleast_1d(np.asarray(rows))
    if numbers.dtype.kind not in "iu":
        return [(0, length)]
    numbers = numbers.astype(np.int64)
    numbers = np.unique(np.where(numbers < 0, numbers + length, numbers))
    numbers = numbers[(numbers >= 0) & (numbers < length)]
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) else []
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]
