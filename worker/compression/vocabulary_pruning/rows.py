"""Chooses the rows of a table that stay: those that data looks up, those that the user keeps, and the fallback's.

The fallback stands in for the rows that go. It is, the first of these that there is:

`fallback_id`     of the step
unknown token     of the tokenizer that makes the ids of texts: the model was trained with it in place of words that it
                  does not know
nearest row       argmin over rows j that stay of |m - E_j|², m the mean of the rows that go, which is the row that is
                  nearest to all of them in the mean square
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from winnow.contract.recipe import VocabularyPruning
from worker.compression.data.inputs.text import TextReader
from worker.compression.data.samples import Samples
from worker.compression.graph.tables.find import Table, are_as_fed, earlier_map
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import array_of

Fallback = Literal["fallback_id", "unknown token", "nearest row"]
NEAREST: Final[Fallback] = "nearest row"


@dataclass(frozen=True)
class Choice:
    """`stays` bool [rows]; `seen`: how many of these the data looks up; `fallback`: the row that stands in for those
    that go, and what it is; `ids` int [ids]: the row of each id before."""

    stays: Array
    seen: int
    fallback: int
    fallback_is: Fallback
    ids: Array

    @property
    def places(self) -> Array:
        """Of each row among those that stay, int32 [rows]; of one that goes, the place of the fallback."""
        places = np.cumsum(self.stays, dtype=np.int32) - np.int32(1)
        result: Array = np.where(self.stays, places, places[self.fallback]).astype(np.int32)
        return result

    @property
    def gone(self) -> int:
        return int(len(self.stays) - np.count_nonzero(self.stays))

    @property
    def staying_ids(self) -> list[int]:
        """The ids whose rows stay, ascending."""
        return [int(number) for number in np.flatnonzero(self.stays[self.ids])]


def choose_rows(table: Table, counts: Array, step: VocabularyPruning, unknown: int | None) -> Choice:
    """Choose by how often rows are looked up, int [rows]. `keep`, `fallback_id` and `unknown` are ids of the table."""
    mapped = earlier_map(table)
    ids = np.arange(table.shape[0]) if mapped is None else mapped
    stays = counts > 0
    seen = int(np.count_nonzero(stays))
    for start, stop in step.ranges:
        stays[ids[start:stop]] = True
    fallback, what = _fallback(array_of(table.weight), stays, ids, step.fallback_id, unknown)
    stays[fallback] = True
    return Choice(stays, seen, fallback, what, ids)


def _fallback(
    weight: Array, stays: Array, ids: Array, named: int | None, unknown: int | None
) -> tuple[int, Fallback]:
    if named is not None:
        return int(ids[named]), "fallback_id"
    if unknown is not None:
        return int(ids[unknown]), "unknown token"
    return _nearest_to_gone(weight, stays), NEAREST


def unknown_token(table: Table, data: Iterable[Samples]) -> int | None:
    """Look up the id of the unknown token where all ids of the table are tokens of texts, as their one tokenizer makes
    them; None where there is none, or the table has no such id."""
    readers = [
        column.reader for samples in data for column in samples.columns if column.spec.name in table.inputs
    ]
    ids = {reader.unknown if isinstance(reader, TextReader) else None for reader in readers}
    unknown = ids.pop() if len(ids) == 1 and all(map(are_as_fed, table.gathers)) else None
    return unknown if unknown is not None and unknown < table.ids else None


def _nearest_to_gone(rows: Array, stays: Array) -> int:
    if stays.all() or not stays.any():
        return 0
    mean = rows[~stays].mean(0, dtype=np.float64)
    distances = ((rows - mean) ** 2).sum(1)
    return int(np.argmin(np.where(stays, distances, np.inf)))
