"""Put columns of a table side by side as one vector: numbers as they are, words by their place in a list."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import TableInput
from winnow.contract.errors import Refusal
from worker.compression.data.formats.tables.mapped import texts_or_none
from worker.compression.data.inputs.array import NUMERIC, check_channels, scaled
from worker.compression.data.table import Column, Numbers, Rows, Table, Texts, select
from worker.compression.ir.arrays import Array

ROWS_AT_A_TIME: Final = 2**14
Read = Callable[[Rows], Array]
"""Rows of one column as float32; NaN where there is no number."""


@dataclass(frozen=True)
class TableReader:
    """Columns as one vector, float32 [columns], scaled as declared."""

    how: TableInput
    reads: list[Read]
    length: int
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    rows_per_sample: int = 1
    unscaled: None = None

    @property
    def column(self) -> str:
        return self.how.columns[0]

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (len(self.reads),)

    def __len__(self) -> int:
        return self.length

    def read(self, rows: Rows) -> Array:
        """Raises `Refusal` `invalid_dataset` naming the row and column that has no value, or an unknown word."""
        x = self._vectors(rows)
        if not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0].tolist()
            raise Refusal("invalid_dataset", f"Row {int(rows[row])}: {self._why(column)}.")
        return scaled(x, self.how)

    def row_shape(self, row: int) -> tuple[int, ...] | None:
        return None

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield the rows that cannot be read, with why."""
        for start in range(0, self.length, ROWS_AT_A_TIME):
            x = self._vectors(range(start, min(start + ROWS_AT_A_TIME, self.length)))
            for row in np.flatnonzero(~np.isfinite(x).all(axis=1)).tolist():
                yield start + row, self._why(int(np.argmin(np.isfinite(x[row]))))

    def _vectors(self, rows: Rows) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is named by the caller
            return np.stack([read(rows) for read in self.reads], axis=1)

    def _why(self, column: int) -> str:
        name = self.how.columns[column]
        words = self.how.categories.get(name)
        expected = (
            f"one of {', '.join(map(repr, words[:5]))}" + ", …" * (len(words) > 5)
            if words
            else "a finite number"
        )
        return f"{name!r} has no value, or another than {expected}"


def table_reader(name: str, how: TableInput, table: Table) -> TableReader:
    """Make the reader of one declared input. Raises `Refusal` `invalid_declaration`."""
    for key in how.categories:
        if key not in how.columns:
            raise _refused(name, f"categories name {key!r}, which is none of its columns", ".categories")
    reads, lengths = [], set()
    for key in how.columns:
        if key not in table.columns:
            raise _refused(
                name,
                f"there is no column {key!r}; the dataset has {fitting.listed(table.columns)}",
                ".columns",
            )
        column = table.columns[key]
        reads.append(_read(name, key, column, how.categories.get(key)))
        lengths.add(len(column))
    if len(lengths) > 1:
        raise _refused(name, f"its columns differ in their number of rows: {sorted(lengths)}", ".columns")
    check_channels(name, how, (1, len(reads)))
    return TableReader(how, reads, lengths.pop())


def _read(name: str, key: str, column: Column, words: list[str] | None) -> Read:
    places = {word: place for place, word in enumerate(words or ())}
    if isinstance(column, np.ndarray) and column.dtype.kind in NUMERIC and column[:1].size <= 1:
        return _numbers(column) if words is None else _numbered_words(column, places)
    if isinstance(column, Texts) and words is not None:
        return lambda rows: _placed(texts_or_none(column, rows), places)
    kind = (
        "words: list its categories" if isinstance(column, Texts) else "neither numbers nor words, one a row"
    )
    raise _refused(name, f"column {key!r} holds {kind}", f".categories.{key}")


def _numbers(column: Numbers) -> Read:
    return lambda rows: np.asarray(select(column, rows), np.float32).reshape(len(rows))


def _numbered_words(column: Numbers, places: dict[str, int]) -> Read:
    """Categories whose words are numbers: 1 and 1.0 are the word `1`."""

    def read(rows: Rows) -> Array:
        values = np.asarray(select(column, rows)).reshape(len(rows)).tolist()
        return _placed(
            [f"{value:.17g}" if isinstance(value, float) else str(value) for value in values], places
        )

    return read


def _placed(words: Sequence[str | None], places: dict[str, int]) -> Array:
    return np.array([np.nan if word is None else places.get(word, np.nan) for word in words], np.float32)


def _refused(name: str, why: str, key: str = "") -> Refusal:
    return Refusal("invalid_declaration", f"Input {name!r}: {why}.", field=f"declaration.inputs.{name}{key}")
