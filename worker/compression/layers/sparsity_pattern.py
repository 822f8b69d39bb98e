"""Sparsity patterns: which weights of a layer become zero together, and which go first.

    unstructured   each weight alone
    block          r outputs × c inputs
    N:M            of every M inputs in a row, M - N

In a row means: along the input channels at one position of the kernel, so that a convolution's columns are taken in
the order (kernel position, channel), which is the order that sparse kernels multiply in. All arrays here are
[groups, out, in] in that order; scores are squares, so that those of a block add up.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.compression.ir.arrays import Array
from worker.compression.layers.linear import Linear

Mask = npt.NDArray[np.bool_]

MAX_BLOCK_COLUMNS: Final = 128
"""Columns among which a method that goes through a layer column by column chooses the weights that go."""


def pattern_order(layer: Linear) -> Array:
    """Order the columns of a layer so that neighbours are input channels: matrix[:, :, in_order(layer)]."""
    columns = np.arange(layer.shape[2])
    return columns.reshape(layer.channels, -1).T.reshape(-1)


@dataclass(frozen=True)
class Structure:
    """Blocks of `rows` × `columns` go together; for N:M, `n` of every `m` stay, else `m` is 0."""

    rows: int = 1
    columns: int = 1
    n: int = 0
    m: int = 0

    @classmethod
    def named(cls, name: str, block: tuple[int, int]) -> "Structure":
        """Make the structure that the contract calls by this name."""
        if ":" in name:
            n, m = map(int, name.split(":"))
            return cls(n=n, m=m)
        return cls(*block) if name == "block" else cls()

    @property
    def columns_per_unit(self) -> int:
        """Columns that a layer's inputs have to divide by."""
        return self.m or self.columns

    @property
    def block_columns(self) -> int:
        """Columns among which the weights that go are chosen together."""
        return self.m or max(1, MAX_BLOCK_COLUMNS // self.columns) * self.columns

    @property
    def unit(self) -> int:
        """Weights that go together."""
        return self.rows * self.columns

    def why_ineligible(self, layer: Linear) -> str | None:
        """Say why a layer cannot have this structure, with its sizes."""
        inner, outer = layer.channels, layer.shape[1]
        if inner % self.columns_per_unit:
            return f"{inner} inputs in a row do not divide by {self.columns_per_unit}"
        return f"{outer} outputs do not divide by {self.rows}" if outer % self.rows else None

    def max_zeros(self, shape: tuple[int, ...]) -> int:
        """Count the weights that can go: a layer keeps one unit at least."""
        size = int(np.prod(shape))
        return size // self.m * (self.m - self.n) if self.m else size - self.unit

    def weakest(self, scores: Array, count: int) -> Mask:
        """Mask the `count` weights (whole units, rounded down) of lowest score; of equals the first."""
        units = self._units(scores)
        if self.m:
            units = np.where(self._may_go(units), units, np.inf)
        chosen = np.zeros(units.size, bool)
        chosen[np.argsort(units, axis=None, kind="stable")[: count // self.unit]] = True
        return chosen.reshape(units.shape).repeat(self.rows, 1).repeat(self.columns, 2)

    def _units(self, scores: Array) -> Array:
        groups, outer, inner = scores.shape
        if self.unit == 1:
            return scores
        blocks = scores.reshape(groups, outer // self.rows, self.rows, inner // self.columns, self.columns)
        sums: Array = np.sum(blocks, (2, 4))
        return sums

    def _may_go(self, scores: Array) -> Mask:
        """Mask the M - N lowest of every M: N:M weights go within these only."""
        groups, outer, inner = scores.shape
        runs = scores.reshape(groups, outer, inner // self.m, self.m)
        ranks = runs.argsort(-1, kind="stable").argsort(-1, kind="stable")
        return (ranks < self.m - self.n).reshape(scores.shape)
