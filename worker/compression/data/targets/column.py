"""Labels from a column of a table: numbers, or words, which become class numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import ColumnTarget
from winnow.contract.errors import Refusal
from worker.compression.data.table import Table, Texts
from worker.compression.data.targets.class_map import class_map
from worker.compression.ir.arrays import Array

MAX_CLASSES: Final = 100_000
UNKNOWN: Final = -1
ROWS_AT_A_TIME: Final = 2**14


@dataclass(frozen=True)
class ColumnLabels:
    """`numbers`, one a row; of `bad` rows they mean nothing. `classes` are the words in the order of their numbers."""

    name: str
    numbers: Array
    bad: Array
    classes: list[str] | None

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield the rows that have no label, or another than the classes."""
        expected = "a class that is declared" if self.classes else "a number"
        yield from ((int(row), f"{self.name!r} has no value, or another than {expected}") for row in self.bad)


def column_labels(target: ColumnTarget, table: Table) -> ColumnLabels:
    """Read the labels of a column. Raises `Refusal` `invalid_declaration`, `labels_do_not_fit`."""
    key = f"labels {target.model_dump_json()}"
    if key not in table.shared:
        table.shared[key] = _read(target, table)
    labels: ColumnLabels = table.shared[key]
    return labels


def _read(target: ColumnTarget, table: Table) -> ColumnLabels:
    column = table.columns.get(target.column)
    if isinstance(column, np.ndarray):
        return _numbers(target, column, table.classes if target.column == table.class_column else None)
    if isinstance(column, Texts):
        return _words(target, column)
    raise Refusal(
        "invalid_declaration",
        f"There is no column {target.column!r} of numbers or words to be the labels; the dataset has "
        f"{fitting.listed(table.columns)}.",
        field="declaration.targets.column",
    )


def _numbers(target: ColumnTarget, column: Array, classes: list[str] | None) -> ColumnLabels:
    """Numbers are labels as they are, whole ones that became reals for a missing value whole again; those of the data's
    own `classes` are numbered by the declared ones."""
    bad = np.zeros(0, np.int64)
    if column.dtype.kind == "f" and not (finite := np.isfinite(column)).all():
        bad = np.flatnonzero(~finite.reshape(len(column), -1).all(axis=1))
        column = np.where(finite, column, 0)
        column = column.astype(np.int64) if (column == np.round(column)).all() else column
    if (places := class_map(classes, target.classes)) is not None:
        strange = (column < 0) | (column >= len(places))
        bad = np.union1d(bad, np.flatnonzero(strange.reshape(len(column), -1).any(axis=1)))
        column = places[np.where(strange, 0, column).astype(np.int64)]
    return ColumnLabels(target.column, column, bad, classes if target.classes is None else target.classes)


def _words(target: ColumnTarget, column: Texts) -> ColumnLabels:
    missing = np.asarray(getattr(column, "missing", ()), np.int64)
    good = np.setdiff1d(np.arange(len(column), dtype=np.int64), missing)
    blocks = [good[start : start + ROWS_AT_A_TIME] for start in range(0, len(good), ROWS_AT_A_TIME)]
    classes = _sorted_words(target, column, blocks) if target.classes is None else target.classes
    places = {word: place for place, word in enumerate(classes)}
    numbers = np.full(len(column), UNKNOWN, np.int64)
    for rows in blocks:
        numbers[rows] = [places.get(word, UNKNOWN) for word in column.texts(rows)]
    bad = np.flatnonzero(numbers == UNKNOWN)
    numbers[bad] = 0
    return ColumnLabels(target.column, numbers, bad, classes)


def _sorted_words(target: ColumnTarget, column: Texts, blocks: list[Array]) -> list[str]:
    words: set[str] = set()
    for rows in blocks:
        words.update(column.texts(rows))
        if len(words) > MAX_CLASSES:
            raise Refusal(
                "labels_do_not_fit",
                f"Column {target.column!r} has more than {MAX_CLASSES} different words: they name no classes.",
                field="declaration.targets",
            )
    return sorted(words)
