"""Chooses ranks: for each layer one of the options that it has.

Spread over layers, the energy that they keep together, Π (1 - lost), is to be largest within a budget (Zhang et al.
2015). Each layer gives up what is cheapest per unit saved: steps along the convex hull of -log(1 - lost) over cost, the
flattest first; what the last step saved too much is given back where it helps most.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from worker.compression.layers.convex_hull import Point, lower_hull, slope
from worker.compression.low_rank.decompositions import Cost, Split


@dataclass(frozen=True)
class Option:
    """What a layer could become; without a split what it is. `lost` is the share of its outputs' energy, in each of the
    `readers` of its weight."""

    cost: Cost
    split: Split | None = None
    lost: float = 0.0
    readers: int = 1

    @property
    def penalty(self) -> float:
        return -self.readers * math.log(max(1 - self.lost, 1e-12))


Measure = Callable[[Cost], int]


def cheapest(options: Iterable[Option], measure: Measure, most_lost: float = 1.0) -> Option:
    """Choose the option that costs least and loses no more than this: the layer as it is loses nothing."""
    return min(
        (option for option in options if option.lost <= most_lost),
        key=lambda option: (measure(option.cost), option.lost),
    )


def allocate_ranks(layers: Sequence[Sequence[Option]], budget: float, measure: Measure) -> list[Option]:
    """Choose one option of each layer, within the budget altogether; the cheapest where that is too little.

    The first option of a layer is what it is.
    """
    hulls = [_hull(options, measure) for options in layers]
    choices = [points[0] for points in hulls]
    steps = sorted(
        (slope(_point(a, measure), _point(b, measure)), layer, number)
        for layer, points in enumerate(hulls)
        for number, (a, b) in enumerate(pairwise(points), 1)
    )
    spent = sum(measure(option.cost) for option in choices)
    for _, layer, number in steps:
        if spent <= budget:
            break
        spent += measure(hulls[layer][number].cost) - measure(choices[layer].cost)
        choices[layer] = hulls[layer][number]
    _spend(budget - spent, layers, choices, measure)
    return choices


def _hull(options: Sequence[Option], measure: Measure) -> list[Option]:
    """Find the lower convex hull of penalty over cost, from the option that loses the least to the cheapest."""
    best = min(options, key=lambda option: (option.penalty, measure(option.cost)))
    cheaper = (option for option in options if measure(option.cost) <= measure(best.cost))
    return lower_hull(cheaper, lambda option: _point(option, measure))


def _point(option: Option, measure: Measure) -> Point:
    return -measure(option.cost), option.penalty


def _spend(rest: float, layers: Sequence[Sequence[Option]], choices: list[Option], measure: Measure) -> None:
    """Spend the rest of the budget on better options, the largest gain first."""
    while rest > 0:
        better = [
            (choices[layer].penalty - option.penalty, layer, option)
            for layer, options in enumerate(layers)
            for option in options
            if option.penalty < choices[layer].penalty
            and measure(option.cost) - measure(choices[layer].cost) <= rest
        ]
        if not better:
            break
        _, layer, option = max(better, key=lambda entry: entry[0])
        rest -= measure(option.cost) - measure(choices[layer].cost)
        choices[layer] = option
