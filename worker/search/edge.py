"""The search for the edge of what meets the requirements, in a space where one ordered setting alone is open.

What the objective makes small shrinks from one end of the setting to the other, until the requirements are not met any
more: the best is at that edge. It is found by bisection in four parts:

    1. between at most 17 values, evenly spread: five trials, the first a quarter of the way, since most requirements
       are tight
    2. one trial beyond the first value that did not meet them: does it really end there? If not, the edge is sought
       behind the harshest value that does
    3. between those values again, for the edge of what surely meets them: what just does, the final may refuse
    4. between the two values at that edge, down to a 128th of the range

A trial that was stopped because the best so far costs no more asked too little, as if it had met what is required; one
that is hopelessly far from that asked too much.

Neither which end is the harsh one nor that results follow an order is believed: where they contradict both directions,
the search goes on without (`Unordered`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from app.storage.records import Trial
from winnow.contract.spaces import Dimension, dimensions
from worker.search.measured import cost, doubt, is_hopeless, is_sure, violation
from worker.search.plan import Plan
from worker.search.points import count, is_ordered, position_of, value_at
from worker.search.rows import complete, in_the_air, is_skipped

CELLS: Final = 16
FINEST: Final = 1 / 128
SAME: Final = FINEST / 2
"""Values are rounded to digits that people can read: so close to a place they lie at it."""
DOWN_IS_HARSH: Final = frozenset(
    {
        "bits",
        "weight_bits",
        "colors",
        "groups",
        "energy",
        "epochs",
        "steps",
        "exclude",
        "max_size_ratio",
        "min_snr_db",
    }
)
"""Settings that compress more the lower they are, as far as names tell."""
EXACT_TOLERANCE, TIMED_TOLERANCE = 0.01, 0.1
"""So much more may be measured for what should cost less."""
VIOLATION_TOLERANCE: Final = 0.25
"""So much less may be violated, in parts of the bound, where it should be more, or what the samples leave open."""


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


@dataclass(frozen=True)
class Seen:
    """Where rows lie from the gentle end, 0, to the harsh one, 1; with the cost at each, or with what is violated and
    how far that may be off. Of those that meet the requirements, `doubtful` are not sure to meet them again."""

    meets: list[float]
    doubtful: list[float]
    fails: list[float]
    open: list[float]
    costs: list[tuple[float, float]]
    violations: list[tuple[float, float, float]]

    @property
    def gentle(self) -> float | None:
        """The harshest place that meets the requirements."""
        return max(self.meets, default=None)

    @property
    def harsh(self) -> float | None:
        """The gentlest place behind it that does not."""
        return min((p for p in self.fails if self.gentle is None or p > self.gentle), default=None)

    def reversed(self) -> "Seen":
        meets, doubtful, fails, untried = (
            [1 - p for p in places] for places in (self.meets, self.doubtful, self.fails, self.open)
        )
        costs = [(1 - p, price) for p, price in self.costs]
        violations = [(1 - p, far, doubt) for p, far, doubt in self.violations]
        return Seen(meets, doubtful, fails, untried, costs, violations)

    def strictly(self) -> "Seen":
        """What is doubtful does not meet the requirements."""
        sure = [p for p in self.meets if p not in self.doubtful]
        return replace(self, meets=sure, doubtful=[], fails=[*self.fails, *self.doubtful])


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
    for seen, up in _directed(plan, dimension, rows):
        step = _bisect(seen, count(dimension))
        return Try(value_at(dimension, step if up else 1 - step)) if isinstance(step, float) else step
    return Unordered()


def least_cost(plan: Plan, dimension: Dimension, rows: Iterable[Trial]) -> float | None:
    """What the best of a space may cost: as the gentlest trial that asked too much. Where none did, as the harsh end,
    on a straight line through the two harshest trials; None for fewer, or where results have no order."""
    for seen, _ in _directed(plan, dimension, rows):
        failed = [price for place, price in seen.costs if place == seen.harsh]
        return min(failed) if failed else _at_the_end(sorted(seen.costs)[-2:])
    return None


def _at_the_end(costs: list[tuple[float, float]]) -> float | None:
    match costs:
        case [(before, dearer), (last, cheaper)] if before < last:
            return max(0.0, cheaper - (dearer - cheaper) / (last - before) * (1 - last))
        case _:
            return None


def _directed(plan: Plan, dimension: Dimension, rows: Iterable[Trial]) -> Iterator[tuple[Seen, bool]]:
    """What was seen, from the gentle end on, in the directions that it allows: the likelier first. True: upwards."""
    seen = _seen(plan, dimension, list(rows))
    tolerance = EXACT_TOLERANCE if plan.objective in ("size", "macs") else TIMED_TOLERANCE
    upwards = (dimension.path.rpartition(".")[2] not in DOWN_IS_HARSH) != (plan.objective == "quality")
    for up in (upwards, not upwards):
        directed = seen if up else seen.reversed()
        if _is_monotone(directed, tolerance):
            yield directed, up


def _seen(plan: Plan, dimension: Dimension, rows: list[Trial]) -> Seen:
    def place(row: Trial) -> float:
        return position_of(dimension, row.params[dimension.path])

    ended = complete(rows)
    meeting = [row for row in ended if violation(row.result or {}) == 0]
    stopped = [row for row in rows if row.state == "stopped_early" and row.result and not is_skipped(row)]
    beaten = [row for row in stopped if not is_hopeless(row.result or {})]
    gentle = {row.number for row in [*meeting, *beaten]}
    over = [*ended, *(row for row in rows if row.state in ("failed", "stopped_early"))]
    costs = [(place(row), cost(row.result or {}, plan.objective)) for row in [*ended, *stopped]]
    return Seen(
        meets=[place(row) for row in [*meeting, *beaten]],
        doubtful=[place(row) for row in meeting if not is_sure(row.result or {})],
        fails=[place(row) for row in over if row.number not in gentle],
        open=[place(row) for row in in_the_air(rows)],
        costs=[(position, price) for position, price in costs if price is not None],
        violations=[(place(row), violation(row.result or {}), doubt(row.result or {})) for row in ended],
    )


def _is_monotone(seen: Seen, tolerance: float) -> bool:
    """Whether the cost shrinks towards the harsh end, and what is violated grows."""
    prices = [price for _, price in sorted(seen.costs)]
    faults = [(far, doubt) for _, far, doubt in sorted(seen.violations)]
    return all(later <= earlier + tolerance * abs(earlier) for earlier, later in pairwise(prices)) and all(
        later >= earlier - max(VIOLATION_TOLERANCE, doubt, more)
        for (earlier, doubt), (later, more) in pairwise(faults)
    )


def _bisect(seen: Seen, values: int | None) -> float | Wait | Done:
    """A position, from the gentle end."""
    last = CELLS if values is None else min(CELLS, values - 1)
    on_grid = _on_grid(seen, last)
    if not isinstance(on_grid, Done):
        return on_grid
    beyond = None if seen.gentle is None or seen.harsh is None else seen.harsh + 1 / last
    tried = [*seen.meets, *seen.fails, *seen.open]
    if beyond is not None and beyond <= 1 + 1e-9 and not any(p > beyond - 1 / last + SAME for p in tried):
        return _snapped(beyond, values)
    seen = seen.strictly()
    on_grid = _on_grid(seen, last)
    if not isinstance(on_grid, Done) or seen.gentle is None or seen.harsh is None:
        return on_grid
    finest = FINEST if values is None else max(FINEST, 1 / (values - 1))
    return _halve(seen, seen.gentle, seen.harsh, finest, values)


def _on_grid(seen: Seen, last: int) -> float | Wait | Done:
    return _between(seen, -1 / last, 1 + 1 / last, [i / last for i in range(last + 1)])


def _between(seen: Seen, low: float, high: float, places: list[float]) -> float | Wait | Done:
    """The middle of the longest run of places at the edge of which nothing is known."""
    gentle = low if seen.gentle is None else seen.gentle
    harsh = high if seen.harsh is None else seen.harsh
    free = [p for p in places if gentle + SAME < p < harsh - SAME]
    if not free:
        return Done()
    runs: list[list[float]] = [[]]
    for place in free:
        if any(abs(place - p) < SAME for p in seen.open):
            runs.append([])
        else:
            runs[-1].append(place)
    longest = max(runs, key=len)
    is_first = not (seen.meets or seen.fails or seen.open)
    return longest[(len(longest) + 1) // 4 if is_first else len(longest) // 2] if longest else Wait()


def _halve(seen: Seen, gentle: float, harsh: float, finest: float, values: int | None) -> float | Wait | Done:
    if harsh - gentle <= finest + 1e-6:
        return Done()
    marks = [gentle, *sorted(p for p in seen.open if gentle < p < harsh), harsh]
    width, start = max((b - a, a) for a, b in pairwise(marks))
    return _snapped(start + width / 2, values) if width > finest + 1e-6 else Wait()


def _snapped(position: float, values: int | None) -> float:
    """To a value that the setting has."""
    return position if values is None else round(position * (values - 1)) / (values - 1)
