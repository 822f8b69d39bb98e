"""Take some rows of a table: small columns at once, those that are read when they are needed by their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

import numpy as np
import numpy.typing as npt

from worker.compression.data.table import Array, Boxes, Column, Files, Numbers, Ragged, Rows, Table, Texts

RowNumbers = npt.NDArray[np.int64]


def with_rows(table: Table, rows: RowNumbers) -> Table:
    """Return the table with these rows alone, in this order."""
    return replace(table, columns={name: _chosen(column, rows) for name, column in table.columns.items()})


def _chosen(column: Column, rows: RowNumbers) -> Column:
    match column:
        case np.ndarray():
            return np.asarray(column[rows]) if column.ndim == 1 else ChosenNumbers(column, rows)
        case Boxes():
            return Boxes(_ChosenBoxes(column.rows, rows))
        case Files():
            return _ChosenFiles(column, rows)
        case Texts():
            return _ChosenTexts(column, rows)
        case Ragged():
            return _ChosenRagged(column, rows)
        case Numbers():
            return ChosenNumbers(column, rows)
        case _:
            assert_never(column)


@dataclass(frozen=True)
class ChosenNumbers:
    """Rows of an array that may be mapped: read when they are asked for."""

    numbers: Numbers
    rows: RowNumbers

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.numbers.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.numbers.shape[1:])

    @property
    def ndim(self) -> int:
        return self.numbers.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any, /) -> Any:
        return self.numbers[self.rows[rows]]


@dataclass(frozen=True)
class _ChosenRagged:
    column: Ragged
    rows: RowNumbers

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.column.dtype

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        return self.column.row_shape

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, row: int, /) -> Array:
        return self.column.row(int(self.rows[row]))


@dataclass(frozen=True)
class _ChosenTexts:
    column: Texts
    rows: RowNumbers

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self, rows: Rows, /) -> list[str]:
        return self.column.texts(self.rows[np.asarray(rows)])


@dataclass(frozen=True)
class _ChosenFiles:
    column: Files
    rows: RowNumbers

    @property
    def holds(self) -> Literal["image", "audio"]:
        return self.column.holds

    def __len__(self) -> int:
        return len(self.rows)

    def content(self, row: int, /) -> bytes:
        return self.column.content(int(self.rows[row]))

    def place(self, row: int, /) -> str:
        return self.column.place(int(self.rows[row]))


@dataclass(frozen=True)
class _ChosenBoxes(Sequence[Array]):
    column: Sequence[Array]
    rows: RowNumbers

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        return self.column[int(self.rows[row])]
