"""The smallest cut that reaches a target: how many channels each group keeps, so that at most `most` is left.

What is left is asked of `cost`, which builds the network that a cut would give. The share that goes is bisected; between
the last share that is too small and the first that is large enough, groups go over one by one, so that the target is
passed by no more than one group's step, and that step is brought down to single channels where rounding allows it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from worker.compression.pruning.pools import Kept, Pools

SMALLEST: Final = 1 / 4096
"""Difference of shares at which the bisection ends, unless the channels are told apart before."""


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
    if left(pools.kept(high)) > most:
        best = min(known, key=lambda kept: known[kept])
        return Cut(best, known[best], reached=False)
    while high - low > (SMALLEST if exact else 1 / 64) and pools.kept(low) != pools.kept(high):
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
