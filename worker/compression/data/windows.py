"""Rows that follow each other: windows of one sound, or rows of one group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from winnow.contract import fitting
from winnow.contract.errors import Refusal
from worker.compression.data.inputs.audio import AudioReader
from worker.compression.data.inputs.reader import InputReader
from worker.compression.data.readable.skipping import Faulty
from worker.compression.data.table import Numbers, Table, Texts
from worker.compression.ir.arrays import Array


def labels_of_windows(labels: Numbers | None, readers: Sequence[InputReader]) -> Numbers | None:
    """Give each window the label of its sound, where there is one label a sound."""
    reader = _windows(readers)
    if labels is None or reader is None or len(labels) != len(reader.ends) or len(labels) == len(reader):
        return labels
    return np.asarray(labels[reader.sources])


def faults_of_windows(sources: Sequence[object], readers: Sequence[InputReader]) -> list[object]:
    """Let what is wrong with a sound be wrong with each of its windows."""
    reader = _windows(readers)
    if reader is None:
        return list(sources)
    return [_OfWindows(source, reader.ends) if isinstance(source, Faulty) else source for source in sources]


@dataclass(frozen=True)
class _OfWindows:
    source: Faulty
    ends: Array

    def faults(self) -> Iterator[tuple[int, str]]:
        for sound, why in self.source.faults():
            first = int(self.ends[sound - 1]) if sound else 0
            yield from ((window, why) for window in range(first, int(self.ends[sound])))


def sequences_of(readers: Sequence[InputReader], group: str | None, table: Table) -> Array | None:
    """Say of each row which sound it is a window of, else which group it is in; None where rows stand alone.

    Raises `Refusal` `invalid_declaration` for a group that is no column of numbers or words.
    """
    reader = _windows(readers)
    if reader is not None:
        return reader.sources
    return None if group is None else group_numbers(group, table)


def group_numbers(group: str, table: Table) -> Array:
    """Number the values of the column that groups the rows."""
    column = table.columns.get(group)
    if isinstance(column, Texts):
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(text, len(numbers)) for text in column.texts(range(len(column)))])
    if not isinstance(column, np.ndarray) or column[:1].size > 1:
        raise Refusal(
            "invalid_declaration",
            f"The group {group!r} is no column of numbers or words, one a row; the dataset has "
            f"{fitting.listed(table.columns)}.",
            field="declaration.group",
        )
    return np.unique(column.reshape(len(column)), return_inverse=True)[1]


def _windows(readers: Sequence[InputReader]) -> AudioReader | None:
    return next((r for r in readers if isinstance(r, AudioReader) and r.how.hop is not None), None)
