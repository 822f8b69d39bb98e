"""Which weights of a layer become zero together, and which go first.

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

from worker.compression.layers.linear import Linear
from worker.compression.runtime.observe import Array

Mask = npt.NDArray[np.bool_]

SEARCHED: Final = 128
"""Columns among which the weights that go are chosen together, where a method goes through a layer column by column."""


def in_order(layer: Linear) -> Array:
    """The columns of the layer's matrix so that neighbours are input channels: matrix[:, :, in_order(layer)]."""
    columns = np.arange(layer.shape[2])
    return columns.reshape(layer.channels, -1).T.reshape(-1)


@dataclass(frozen=True)
class Structure:
    """Blocks of `rows` × `columns`; for N:M, `kept` of every `of`, else `of` is 0."""

    rows: int = 1
    columns: int = 1
    kept: int = 0
    of: int = 0

    @classmethod
    def named(cls, name: str, block: tuple[int, int]) -> "Structure":
        """As the contract names them."""
        if ":" in name:
            kept, of = map(int, name.split(":"))
            return cls(kept=kept, of=of)
        return cls(*block) if name == "block" else cls()

    @property
    def step(self) -> int:
        """Columns that cannot be told apart."""
        return self.of or self.columns

    @property
    def searched(self) -> int:
        """Columns that are chosen from together."""
        return self.of or max(1, SEARCHED // self.columns) * self.columns

    @property
    def unit(self) -> int:
        """Weights that go together."""
        return self.rows * self.columns

    def why_not(self, layer: Linear) -> str | None:
        """Why a layer cannot have this structure, with its sizes."""
        inner, outer = layer.channels, layer.shape[1]
        if inner % self.step:
            return f"{inner} inputs in a row do not divide by {self.step}"
        return f"{outer} outputs do not divide by {self.rows}" if outer % self.rows else None

    def most(self, shape: tuple[int, ...]) -> int:
        """Weights that can go, at most: a layer keeps something."""
        size = int(np.prod(shape))
        return size // self.of * (self.of - self.kept) if self.of else size - self.unit

    def weakest(self, scores: Array, count: int) -> Mask:
        """The `count` weights (whole units, rounded down) of lowest score; of equals the first."""
        units = self._units(scores)
        if self.of:
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
        """Of every M the M - N lowest."""
        groups, outer, inner = scores.shape
        runs = scores.reshape(groups, outer, inner // self.of, self.of)
        ranks = runs.argsort(-1, kind="stable").argsort(-1, kind="stable")
        return (ranks < self.of - self.kept).reshape(scores.shape)
