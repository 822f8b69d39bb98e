"""Chooses the rows of a table that stay: those that data looks up, those that the user keeps, and the fallback's."""

from dataclasses import dataclass

import numpy as np

from winnow.contract.recipe import VocabularyPruning
from worker.compression.graph.tables.find import Table, earlier_map
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import array_of


@dataclass(frozen=True)
class Choice:
    """`stays` bool [rows]; `seen`: how many of these the data looks up; `fallback`: the row that stands in for those
    that go; `ids` int [ids]: the row of each id before."""

    stays: Array
    seen: int
    fallback: int
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


def choose_rows(table: Table, counts: Array, step: VocabularyPruning) -> Choice:
    """Choose by how often rows are looked up, int [rows]. `keep` and `fallback_id` are ids of the table.

    Without `fallback_id`: argmin over rows j that stay of |m - E_j|², m the mean of the rows that go, which is the row
    that is nearest to all of them in the mean square.
    """
    mapped = earlier_map(table)
    ids = np.arange(table.shape[0]) if mapped is None else mapped
    stays = counts > 0
    seen = int(np.count_nonzero(stays))
    for start, stop in step.ranges:
        stays[ids[start:stop]] = True
    named = step.fallback_id
    fallback = _nearest_to_gone(array_of(table.weight), stays) if named is None else int(ids[named])
    stays[fallback] = True
    return Choice(stays, seen, fallback, ids)


def _nearest_to_gone(rows: Array, stays: Array) -> int:
    if stays.all() or not stays.any():
        return 0
    mean = rows[~stays].mean(0, dtype=np.float64)
    distances = ((rows - mean) ** 2).sum(1)
    return int(np.argmin(np.where(stays, distances, np.inf)))
