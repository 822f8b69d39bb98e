"""Bits for each layer under a budget: one step down at a time, always the one that costs least for what it gains.

A layer goes from float to 8 bits and on to 4; where going straight to 4 is the better bargain it is one move. Taking
the moves in the order of cost / gain is optimal for every budget that a prefix of them meets exactly (the convex hull
of the knapsack, as in HAWQ-V2's Pareto frontier), and otherwise off by one move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FLOAT = 32


@dataclass(frozen=True)
class Choice:
    """What a layer costs and gains with so many bits, against float."""

    bits: int
    cost: float
    gain: float


@dataclass(frozen=True)
class Move:
    """A layer goes to `bits`; cost and gain are those of the move alone."""

    layer: str
    bits: int
    cost: float
    gain: float

    @property
    def price(self) -> float:
        return self.cost / self.gain


def moves(choices: Mapping[str, Sequence[Choice]]) -> list[Move]:
    """All that gain something, cheapest first; moves of one layer in their order."""
    found = [move for layer, given in choices.items() for move in _hull(layer, given)]
    return sorted(found, key=lambda move: move.price)


def bits_after(taken: Sequence[Move]) -> dict[str, int]:
    """Of the layers that were moved."""
    return {move.layer: move.bits for move in taken}


def prefix(ordered: Sequence[Move], needed: float) -> int | None:
    """How many moves gain at least `needed`; None when all together do not."""
    gained = 0.0
    if gained >= needed:
        return 0
    for number, move in enumerate(ordered, 1):
        gained += move.gain
        if gained >= needed:
            return number
    return None


def _hull(layer: str, given: Sequence[Choice]) -> list[Move]:
    """From float along the lower convex hull of (gain, cost)."""
    at, left, path = Choice(FLOAT, 0.0, 0.0), list(given), []
    while ahead := [choice for choice in left if choice.gain > at.gain]:
        best = min(ahead, key=lambda c: (max(0.0, c.cost - at.cost) / (c.gain - at.gain), -c.gain))
        path.append(Move(layer, best.bits, max(0.0, best.cost - at.cost), best.gain - at.gain))
        at = best
    return path
