"""Bits for each layer under a budget: one step down at a time, always the one that costs least for what it gains.

A layer goes from float to 8 bits and on to 4; where going straight to 4 is the better bargain it is one move. Taking
the moves in the order of cost / gain is optimal for every budget that a prefix of them meets exactly (the convex hull
of the knapsack, as in HAWQ-V2's Pareto frontier), and otherwise off by one move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from worker.compression.layers.convex_hull import lower_hull

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


def order_moves(choices: Mapping[str, Sequence[Choice]]) -> list[Move]:
    """List all that gain something, cheapest first; moves of one layer in their order."""
    unordered = [move for layer, options in choices.items() for move in _moves_of(layer, options)]
    return sorted(unordered, key=lambda move: move.price)


def bits_after(made: Sequence[Move]) -> dict[str, int]:
    """The bits of the layers that were moved."""
    return {move.layer: move.bits for move in made}


def count_needed(ordered: Sequence[Move], needed: float) -> int | None:
    """Count the moves that it takes to gain at least `needed`; None when all together do not."""
    gained = 0.0
    if gained >= needed:
        return 0
    for number, move in enumerate(ordered, 1):
        gained += move.gain
        if gained >= needed:
            return number
    return None


def _moves_of(layer: str, choices: Sequence[Choice]) -> list[Move]:
    """From float along the lower convex hull of cost over gain."""
    gaining = (choice for choice in choices if choice.gain > 0)
    hull = lower_hull([Choice(FLOAT, 0.0, 0.0), *gaining], lambda choice: (choice.gain, choice.cost))
    return [Move(layer, b.bits, b.cost - a.cost, b.gain - a.gain) for a, b in pairwise(hull)]
