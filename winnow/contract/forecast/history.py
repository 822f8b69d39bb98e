"""Tell how long a part of a job takes, and how much memory, from what others took that were like it.

A cost grows with the amount of work w as a + b·w, a and b unknown but not negative. So of one that took s for w₀ it is
known that another takes between s and s · w / w₀. What all of the past ones say together is the range; where they
contradict each other, as on machines of different speed, it is what lies between.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

NEAREST: Final = 20
"""Of the past ones those whose amount is most like the one asked for."""
NOISE: Final = 1.5
"""Factor by which the same work was seen to take longer or shorter on a machine that others use too."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Past:
    """What an amount of work has cost."""

    amount: float
    cost: float


def expected(amount: float, history: Iterable[Past]) -> Range | None:
    """Tell the range of what this amount costs; None without history."""
    nearest = sorted(history, key=lambda past: abs(log((past.amount + 1) / (amount + 1))))[:NEAREST]
    if not nearest:
        return None
    ratios = [(amount + 1) / (past.amount + 1) for past in nearest]
    low = max(past.cost * min(1.0, ratio) for past, ratio in zip(nearest, ratios, strict=True))
    high = min(past.cost * max(1.0, ratio) for past, ratio in zip(nearest, ratios, strict=True))
    return min(low, high) / NOISE, max(low, high) * NOISE


def summed(ranges: Sequence[Range | None]) -> Range | None:
    """Add ranges up; None where one is not known."""
    known = [each for each in ranges if each is not None]
    if len(known) < len(ranges):
        return None
    return sum(low for low, _ in known), sum(high for _, high in known)


def largest(ranges: Sequence[Range | None]) -> Range | None:
    """Tell the range of the largest; None where one is not known."""
    known = [each for each in ranges if each is not None]
    if len(known) < len(ranges) or not known:
        return None
    return max(low for low, _ in known), max(high for _, high in known)
