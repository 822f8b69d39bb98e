"""What the trials of a space say where one ordered setting alone is open, from its gentle end to its harsh.

Requirements are of two kinds: those that harsher settings break (of the quality), and those that they ease (of size,
memory and speed), with the objective `quality` the other way round. What only misses the latter asked too little, as if
it had met what is required.

Neither which end is the harsh one nor that harsher settings ease anything is believed where results contradict it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from app.storage.records import Trial
from winnow.contract.spaces import Dimension
from worker.search.baseline import harm_of
from worker.search.measured import HOPELESS, SURE, chance, cost, doubt, violation, violation_of
from worker.search.plan import Plan
from worker.search.points import position_of
from worker.search.rows import complete, in_the_air, is_cut_off, is_refused, is_skipped

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
        "width",
        "depth",
    }
)
"""Settings that compress more the lower they are, as far as names tell."""
EXACT_TOLERANCE, TIMED_TOLERANCE = 0.01, 0.1
"""So much more may be measured for what should cost less."""
VIOLATION_TOLERANCE: Final = 0.25
"""So much less may be violated, in parts of the bound, where it should be more, or what the samples leave open."""
EASED_TOLERANCE: Final = 0.01
"""So much more may be violated of what should be eased."""


@dataclass(frozen=True)
class Seen:
    """Where rows lie from the gentle end, 0, to the harsh one, 1; with the cost at each, or with what is violated and
    how far that may be off, or what is violated of what harsher settings ease. Of those that meet the requirements,
    `doubtful` are not sure to meet them again; of those that are refused as jobs or were cut off nothing is known."""

    meets: list[float]
    doubtful: list[float]
    fails: list[float]
    open: list[float]
    unknown: list[float]
    costs: list[tuple[float, float]]
    violations: list[tuple[float, float, float]]
    eased: list[tuple[float, float]]

    @property
    def gentle(self) -> float | None:
        """The harshest place that meets the requirements."""
        return max(self.meets, default=None)

    @property
    def harsh(self) -> float | None:
        """The gentlest place behind it that does not."""
        return min((p for p in self.fails if self.gentle is None or p > self.gentle), default=None)

    @property
    def tells_nothing(self) -> bool:
        """Whether nothing was run, or will be."""
        return not (self.meets or self.fails or self.open)

    def reversed(self) -> "Seen":
        def turned(places: list[float]) -> list[float]:
            return [1 - p for p in places]

        return Seen(
            meets=turned(self.meets),
            doubtful=turned(self.doubtful),
            fails=turned(self.fails),
            open=turned(self.open),
            unknown=turned(self.unknown),
            costs=[(1 - p, price) for p, price in self.costs],
            violations=[(1 - p, far, doubt) for p, far, doubt in self.violations],
            eased=[(1 - p, far) for p, far in self.eased],
        )

    def strictly(self) -> "Seen":
        """What is doubtful does not meet the requirements."""
        sure = [p for p in self.meets if p not in self.doubtful]
        return replace(self, meets=sure, doubtful=[], fails=[*self.fails, *self.doubtful])

    def is_monotone(self, tolerance: float) -> bool:
        """Whether towards the harsh end the cost shrinks, and what is violated grows, but for what is eased."""
        prices = [price for _, price in sorted(self.costs)]
        faults = [(far, doubt) for _, far, doubt in sorted(self.violations)]
        eased = [far for _, far in sorted(self.eased)]
        return (
            all(later <= earlier + tolerance * abs(earlier) for earlier, later in pairwise(prices))
            and all(
                later >= earlier - max(VIOLATION_TOLERANCE, doubt, more)
                for (earlier, doubt), (later, more) in pairwise(faults)
            )
            and all(later <= earlier + EASED_TOLERANCE for earlier, later in pairwise(eased))
        )


def directed(plan: Plan, dimension: Dimension, rows: Iterable[Trial]) -> Iterator[tuple[Seen, bool]]:
    """What was seen, from the gentle end on, in the directions that it allows: the likelier first. True: upwards."""
    rows = list(rows)
    tolerance = EXACT_TOLERANCE if plan.objective in ("size", "macs") else TIMED_TOLERANCE
    upwards = (dimension.path.rpartition(".")[2] not in DOWN_IS_HARSH) != (plan.objective == "quality")
    for up in (upwards, not upwards):
        for eases in (True, False):
            seen = _seen(plan, dimension, rows, eases=eases)
            seen = seen if up else seen.reversed()
            if seen.is_monotone(tolerance):
                yield seen, up


def _seen(plan: Plan, dimension: Dimension, rows: list[Trial], *, eases: bool) -> Seen:
    """`eases`: whether what is required of one kind is easier to meet towards the harsh end."""
    eases_costs = plan.objective != "quality"

    def place(row: Trial) -> float:
        return position_of(dimension, row.params[dimension.path])

    def far(row: Trial) -> float:
        result = row.result or {}
        broken = violation_of(result, costs=not eases_costs) if eases else violation(result)
        return broken + harm_of(plan, result)

    unknown = [row for row in rows if is_refused(row) or is_cut_off(row)]
    rows = [row for row in rows if not (is_refused(row) or is_cut_off(row))]
    ended = complete(rows)
    stopped = [row for row in rows if row.state == "stopped_early" and row.result and not is_skipped(row)]
    too_large = [row for row in rows if is_skipped(row)]
    meeting = [row for row in ended if far(row) == 0]
    too_little = [row for row in stopped if far(row) <= HOPELESS]
    if eases and eases_costs:
        too_little += too_large
    gentle = {row.number for row in [*meeting, *too_little]}
    over = [*ended, *(row for row in rows if row.state in ("failed", "stopped_early"))]
    costs = [(place(row), cost(row.result or {}, plan.objective)) for row in [*ended, *stopped]]
    return Seen(
        meets=[place(row) for row in [*meeting, *too_little]],
        doubtful=[place(row) for row in meeting if chance(row.result or {}) < SURE],
        fails=[place(row) for row in over if row.number not in gentle],
        open=[place(row) for row in in_the_air(rows)],
        unknown=[place(row) for row in unknown],
        costs=[(position, price) for position, price in costs if price is not None],
        violations=[(place(row), far(row), doubt(row.result or {})) for row in ended],
        eased=[
            (place(row), _eased(row, costs=eases_costs)) for row in [*ended, *stopped, *too_large] if eases
        ],
    )


def _eased(row: Trial, *, costs: bool) -> float:
    """How far it is from what harsher settings ease; of what never ran by its predicted size."""
    result = row.result or {}
    if is_skipped(row):
        return float(result["violation"]) if costs else 0.0
    return violation_of(result, costs=costs)
