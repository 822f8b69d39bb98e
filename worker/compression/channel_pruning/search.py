"""The smallest cut that reaches a target: how many channels each group keeps, so that at most `most` is left.

What is left is asked of `cost`, which builds the network that a cut would give. The share of each pool that goes is
bisected until the cuts differ by one step at most; those groups that still differ then go over one by one, so that the
target is passed by no more than the step of one group: a channel, or a multiple of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from worker.compression.channel_pruning.pools import Kept, Pools

CLOSE: Final = 1e-7
"""Difference of shares that tells any two channels apart."""
CLOSE_MEASURED: Final = 1 / 64
"""The same where each answer takes a measurement, and two of one network differ as much."""


@dataclass(frozen=True)
class Cut:
    """What each group keeps, what is left by it, and whether that is what was asked for."""

    kept: Kept
    left: float
    reached: bool


def smallest_cut(pools: Pools, cost: Callable[[Kept], float], most: float, *, exact: bool = True) -> Cut:
    """`left` ≤ `most`, or the least that there is. Not `exact`: a cost that is measured, and never asked twice."""
    known: dict[Kept, float] = {}

    def left(kept: Kept) -> float:
        if kept not in known:
            known[kept] = cost(kept)
        return known[kept]

    low, high = 0.0, 1.0
    if left(pools.kept(low)) <= most:
        return Cut(pools.kept(low), left(pools.kept(low)), reached=True)
    if left(pools.kept(high)) > most:
        best = min(known, key=lambda kept: known[kept])
        return Cut(best, known[best], reached=False)
    while high - low > (CLOSE if exact else CLOSE_MEASURED) and pools.kept(low) != pools.kept(high):
        middle = (low + high) / 2
        low, high = (low, middle) if left(pools.kept(middle)) <= most else (middle, high)
    kept = pools.kept(high)
    if exact:
        kept = _one_by_one(pools.kept(low), kept, left, most)
    return Cut(kept, left(kept), reached=True)


def _one_by_one(more: Kept, less: Kept, left: Callable[[Kept], float], most: float) -> Kept:
    """Between two cuts, of which only the second is enough, the first that is when groups go over in their order."""
    few, many = 0, len(more)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if left((*less[:middle], *more[middle:])) <= most else (middle, many)
    return (*less[:many], *more[many:])
