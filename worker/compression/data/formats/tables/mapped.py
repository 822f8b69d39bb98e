"""Columns that lie in mapped files: texts, files and lists end to end, row by row found by where each ends."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from winnow.contract.errors import Refusal
from worker.compression.data.table import Numbers, Rows, Texts
from worker.compression.ir.arrays import Array

RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ends:
    """Row r lies from `ends[r - 1]` to `ends[r]`; `missing` rows have no value at all, which is not an empty one."""

    column: str
    ends: RowNumbers
    missing: RowNumbers

    def __len__(self) -> int:
        return len(self.ends)

    def place(self, row: int) -> str:
        return f"row {row} of {self.column!r}"

    def span(self, row: int) -> slice:
        """Raises `Refusal` `invalid_dataset` for a row without a value."""
        at = int(np.searchsorted(self.missing, row))
        if at < len(self.missing) and self.missing[at] == row:
            raise Refusal("invalid_dataset", f"{self.place(row).capitalize()} has no value. {SKIP}")
        return slice(int(self.ends[row - 1]) if row else 0, int(self.ends[row]))

    @property
    def lengths(self) -> RowNumbers:
        return np.diff(self.ends, prepend=0)


SKIP = "Give it one, remove the row, or let the declaration's skip_bad leave out such rows."


@dataclass(frozen=True)
class MappedTexts:
    """UTF-8, checked when it was written."""

    at: Ends
    blob: Array

    def __len__(self) -> int:
        return len(self.at)

    @property
    def missing(self) -> RowNumbers:
        return self.at.missing

    def buffers(self, rows: range) -> tuple[RowNumbers, Array]:
        """Return neighbouring texts as Arrow has them: offsets, one more than there are rows, and the bytes."""
        start = int(self.at.ends[rows.start - 1]) if rows.start else 0
        ends = self.at.ends[rows.start : rows.stop]
        return np.concatenate([[0], ends - start]), np.ascontiguousarray(self.blob[start : int(ends[-1])])

    def texts(self, rows: Rows) -> list[str]:
        return [self.blob[self.at.span(int(row))].tobytes().decode() for row in rows]


def texts_or_none(column: Texts, rows: Rows) -> list[str | None]:
    """Read texts, None for rows that have no value."""
    missing = set(column.missing.tolist()) if isinstance(column, MappedTexts) else set()
    if not missing:
        return [*column.texts(rows)]
    return [None if int(row) in missing else column.texts(np.array([row]))[0] for row in rows]


@dataclass(frozen=True)
class MappedFiles:
    """Encoded pictures or sounds."""

    at: Ends
    blob: Array
    holds: Literal["image", "audio"]

    def __len__(self) -> int:
        return len(self.at)

    @property
    def missing(self) -> RowNumbers:
        return self.at.missing

    def content(self, row: int) -> bytes:
        return self.blob[self.at.span(row)].tobytes()

    def place(self, row: int) -> str:
        return self.at.place(row)


@dataclass(frozen=True)
class MappedLists:
    """Lists of numbers, `values` [all of them, *inner]; each of a length of its own along the first axis."""

    at: Ends
    values: Numbers

    def __len__(self) -> int:
        return len(self.at)

    @property
    def missing(self) -> RowNumbers:
        return self.at.missing

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        return (None, *self.values.shape[1:])

    def row(self, row: int) -> Array:
        return np.asarray(self.values[self.at.span(row)])

    def length(self, row: int) -> int:
        span = self.at.span(row)
        return int(span.stop - span.start)
