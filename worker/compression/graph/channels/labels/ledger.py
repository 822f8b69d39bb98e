"""Record which labels are one channel, and which must stay.

Rules only note pairs and pins; classes are the connected components of all pairs, computed once at the end.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.int64]
"""One label for each index of an axis."""

NONE: Final = np.zeros(0, np.int64)


class Ledger:
    """The labels of one label run, and what was noted about them."""

    def __init__(self) -> None:
        self.count = 0
        self.stretched: set[int] = set()
        """Labels of axes that were stretched from size 1: no channels unless they share labels with some."""
        self.reasons: list[str] = []
        self._pairs: list[tuple[Vector, Vector]] = []
        self._pinned: list[Vector] = []

    def fresh(self, size: int) -> Vector:
        self.count += size
        return np.arange(self.count - size, self.count, dtype=np.int64)

    def unite(self, first: Vector, second: Vector) -> None:
        """Note that both are the same channels, index by index. Raises `ValueError` where one has more."""
        if first.shape != second.shape:
            raise ValueError(f"{first.shape} labels do not match the size of {second.shape}")
        if first is not second:
            self._pairs.append((first, second))

    def pin(self, labels: Vector, reason: str) -> None:
        """Note that these channels stay, and why."""
        self._pinned.append(labels.reshape(-1))
        self.reasons.append(reason)

    def classes(self) -> Vector:
        """Return for each label the smallest one of its class."""
        pairs = self._pairs
        return components(self.count, joined([a for a, _ in pairs]), joined([b for _, b in pairs]))

    def reason_of_labels(self, classes: Vector) -> Vector:
        """Return for each label the index of the first reason that pins its class, −1 where none does."""
        none = len(self.reasons)
        first = np.full(self.count, none, np.int64)
        sizes = [len(labels) for labels in self._pinned]
        numbers = np.repeat(np.arange(len(sizes)), sizes)
        np.minimum.at(first, classes[joined(self._pinned)], numbers)
        index = first[classes]
        return np.where(index == none, -1, index)


def joined(vectors: Sequence[Vector]) -> Vector:
    """The labels of all of them in one vector."""
    return np.concatenate([NONE, *(vector.reshape(-1) for vector in vectors)])


def components(count: int, first: Vector, second: Vector) -> Vector:
    """Name each node's connected component by the smallest node in it."""
    from scipy.sparse import coo_array  # a quarter of a second, and most jobs cut no channels
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    numbers = connected_components(edges, directed=False)[1]
    return np.asarray(np.unique(numbers, return_index=True)[1][numbers])
