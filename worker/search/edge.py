"""The search for the edge of what meets the requirements, in a space where one ordered setting alone is open.

What the objective makes small shrinks from one end of the setting to the other, until the requirements are not met any
more: the best is at that edge. It is found by bisection in four parts:

    1. between at most 17 values, evenly spread: five trials, the first a quarter of the way, since most requirements
       are tight
    2. one trial beyond the first value that did not meet them: does it really end there? If not, the edge is sought
       behind the harshest value that does
    3. between those values again, for the edge of what surely meets them: what just does, the final may refuse
    4. between the two values at that edge, or at the first where nothing is sure, down to a 128th of the range

A trial that was stopped because the best so far costs no more asked too little, as if it had met what is required; one
that is hopelessly far from that asked too much; of one that would be refused as a job, or was cut off, nothing is known
(`seen`).

Neither which end is the harsh one nor that results follow an order is believed: where they contradict both directions,
or every place is refused, the search goes on without (`Unordered`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from app.storage.records import Trial
from winnow.contract.spaces import Dimension, dimensions
from worker.search.plan import Plan
from worker.search.points import count, is_ordered, position_of, value_at
from worker.search.seen import Seen, directed

CELLS: Final = 16
FINEST: Final = 1 / 128
SAME: Final = FINEST / 2
"""Values are rounded to digits that people can read: so close to a place they lie at it."""


@dataclass(frozen=True)
class Try:
    """The value to try next."""

    value: Any


@dataclass(frozen=True)
class Wait:
    """What is in the air decides what comes next."""


@dataclass(frozen=True)
class Done:
    """The edge is known as well as it is worth."""


@dataclass(frozen=True)
class Unordered:
    """The results have no one edge."""


Step = Try | Wait | Done | Unordered


def edge_of(plan: Plan, space: int) -> Dimension | None:
    """The one setting that is open in a space, where it is ordered and something bounds it."""
    if plan.require.is_empty:
        return None
    match dimensions(plan.spaces[space].recipe):
        case [dimension] if is_ordered(dimension) and count(dimension) != 2:
            return dimension
        case _:
            return None


def next_step(plan: Plan, dimension: Dimension, rows: Iterable[Trial]) -> Step:
    """Say what to try next of a space, of which these are the rows, in whichever direction the results allow."""
    values = count(dimension)
    last = CELLS if values is None else min(CELLS, values - 1)
    over: Step = Unordered()
    for seen, up in directed(plan, dimension, rows):

        def snap(position: float, up: bool = up) -> float:
            placed = position_of(dimension, value_at(dimension, position if up else 1 - position))
            return placed if up else 1 - placed

        step = _bisect(seen, sorted({snap(i / last) for i in range(last + 1)}), snap)
        if isinstance(step, float):
            return Try(value_at(dimension, step if up else 1 - step))
        if not isinstance(step, Done) or seen.gentle is not None:
            return step
        over = step  # nothing meets what is required, unless the harsh end is the other one
    return over


def least_cost(plan: Plan, dimension: Dimension, rows: Iterable[Trial]) -> float | None:
    """What the best of a space may cost: as the gentlest trial that asked too much. Where none did, as the harsh end,
    on a straight line through the two harshest trials; None for fewer, or where results have no order."""
    for seen, _ in directed(plan, dimension, rows):
        failed = [price for place, price in seen.costs if place == seen.harsh]
        return min(failed) if failed else _at_the_end(sorted(seen.costs)[-2:])
    return None


def _at_the_end(costs: list[tuple[float, float]]) -> float | None:
    match costs:
        case [(before, dearer), (last, cheaper)] if before < last:
            return max(0.0, cheaper - (dearer - cheaper) / (last - before) * (1 - last))
        case _:
            return None


def _bisect(seen: Seen, grid: list[float], snap: Callable[[float], float]) -> float | Wait | Done | Unordered:
    """A position, from the gentle end; `snap` moves one to the nearest value of the setting."""
    on_grid = _between(seen, grid)
    if not isinstance(on_grid, Done):
        return on_grid
    if seen.tells_nothing:
        return Unordered()
    if (beyond := _beyond(seen, grid)) is not None:
        return beyond
    strict = seen.strictly()
    on_grid = _between(strict, grid)
    if not isinstance(on_grid, Done):
        return on_grid
    edge = seen if strict.gentle is None else strict
    return (
        on_grid if edge.gentle is None or edge.harsh is None else _halve(edge, edge.gentle, edge.harsh, snap)
    )


def _between(seen: Seen, grid: list[float]) -> float | Wait | Done:
    """The middle of the longest run of places at the edge of which nothing is known."""
    low = -1.0 if seen.gentle is None else seen.gentle
    high = 2.0 if seen.harsh is None else seen.harsh
    free = [p for p in grid if low + SAME < p < high - SAME]
    runs: list[list[float]] = [[]]
    for place in free:
        if _is_among(place, [*seen.open, *seen.unknown]):
            runs.append([])
        else:
            runs[-1].append(place)
    longest = max(runs, key=len)
    if not longest:
        return Wait() if any(_is_among(place, seen.open) for place in free) else Done()
    return longest[(len(longest) + 1) // 4 if seen.tells_nothing else len(longest) // 2]


def _beyond(seen: Seen, grid: list[float]) -> float | None:
    """The place behind the edge; None without an edge, or where something behind it was tried."""
    if seen.gentle is None or seen.harsh is None:
        return None
    if any(p > seen.harsh + SAME for p in (*seen.meets, *seen.fails, *seen.open)):
        return None
    behind = (p for p in grid if p > seen.harsh + SAME and not _is_among(p, seen.unknown))
    return next(behind, None)


def _halve(seen: Seen, gentle: float, harsh: float, snap: Callable[[float], float]) -> float | Wait | Done:
    """The middle of the widest gap in which the setting has a value."""
    inside = [p for p in seen.open if gentle < p < harsh]
    marks = sorted([gentle, *inside, *(p for p in seen.unknown if gentle < p < harsh), harsh])
    middles = [(b - a, snap((a + b) / 2)) for a, b in pairwise(marks) if b - a > FINEST + 1e-6]
    free = [(width, middle) for width, middle in middles if not _is_among(middle, marks, 1e-9)]
    if not free:
        return Wait() if inside else Done()
    return max(free)[1]


def _is_among(place: float, places: Iterable[float], apart: float = SAME) -> bool:
    return any(abs(place - p) < apart for p in places)
