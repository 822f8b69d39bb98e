"""How many channels a cut leaves of each group: what pruning does and what a forecast tells of it. A head of attention
is one channel of a certain width.

The share of each pool that goes is bisected until the cuts differ by one step at most; those groups that still differ
then go over one by one, so that the target is passed by no more than the step of one group: a channel, or a multiple of
them.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

MIN_ROUNDED_CHANNELS: Final = 16
"""Channels of a group from which on it is rounded to `LANES` by itself."""
LANES: Final = 8
MIN_SHARE_STEP: Final = 1e-7
"""Step of shares that is small enough to tell any two channels apart."""
MIN_MEASURED_SHARE_STEP: Final = 1 / 64
"""The same where each cost is measured: two measurements of one network differ as much."""

ChannelCounts = tuple[int, ...]
"""How many channels each group keeps."""


@dataclass(frozen=True)
class Cut:
    """How many channels each group keeps, the share of the cost that remains, and whether the target is reached."""

    counts: ChannelCounts
    remaining: float
    reached: bool


def multiple_of(channels: int, round_to: int | None, width: int = 1) -> int:
    """Tell what a group of so many channels keeps multiples of. Of heads so many that their width together is one."""
    if round_to is None and width > 1:
        return 1
    multiple = round_to or (LANES if channels >= MIN_ROUNDED_CHANNELS else 1)
    return multiple // math.gcd(multiple, width)


def why_heads_do_not_divide(round_to: int, heads: Iterable[tuple[str, int, int]]) -> str | None:
    """Say which heads cannot go at all for being kept in multiples; None where some of each can. `heads`: of each group
    its name, how many it has, and their width."""
    for name, count, width in heads:
        if (multiple := multiple_of(count, round_to, width)) >= count:
            return (
                f"round_to {round_to} leaves no head of {name} to go: its {count} heads are {width} wide each, and "
                f"only {multiple} of them together are a multiple. Ask for a divisor of {width}, leave round_to out, "
                "or cut inside of heads (heads: inside)."
            )
    return None


def rounded_count(count: int, size: int, multiple: int) -> int:
    """Round to the nearest multiple that is not 0; to `size` where none goes, or the multiple would be larger."""
    return size if count == size else min(size, max(1, round(count / multiple)) * multiple)


def smallest_cut(
    counts_without: Callable[[float], ChannelCounts],
    cost: Callable[[ChannelCounts], float],
    target: float,
    *,
    exact: bool = True,
) -> Cut:
    """Find the smallest cut with `remaining` ≤ `target`, or the least that there is. `counts_without`: what each group
    keeps when this share of every pool goes; `cost`: the share that remains then.

    Not `exact`: the cost is measured, so it is measured once for each cut, and groups do not go over one by one.
    """
    costs: dict[ChannelCounts, float] = {}

    def remaining(counts: ChannelCounts) -> float:
        if counts not in costs:
            costs[counts] = cost(counts)
        return costs[counts]

    low, high = 0.0, 1.0
    if remaining(uncut := counts_without(low)) <= target:
        return Cut(uncut, remaining(uncut), reached=True)
    if remaining(counts_without(high)) > target:
        best = min(costs, key=lambda counts: costs[counts])
        return Cut(best, costs[best], reached=False)
    min_step = MIN_SHARE_STEP if exact else MIN_MEASURED_SHARE_STEP
    while high - low > min_step and counts_without(low) != counts_without(high):
        middle = (low + high) / 2
        low, high = (low, middle) if remaining(counts_without(middle)) <= target else (middle, high)
    counts = counts_without(high)
    if exact:
        counts = _one_by_one(counts_without(low), counts, remaining, target)
    return Cut(counts, remaining(counts), reached=True)


def _one_by_one(
    more: ChannelCounts, less: ChannelCounts, remaining: Callable[[ChannelCounts], float], target: float
) -> ChannelCounts:
    """Find, between a cut that is not enough and one that is, the first that is when groups go over in their order."""
    few, many = 0, len(more)
    while many - few > 1:
        middle = (few + many) // 2
        enough = remaining((*less[:middle], *more[middle:])) <= target
        few, many = (few, middle) if enough else (middle, many)
    return (*less[:many], *more[many:])
