"""Successive halving of steps that train: short first, and only the promising ones long.

    rung    0     1     2
    share   1/9   1/3   1      of the epochs

Who goes on is said by Optuna's pruner, which takes the best third of those that came to the same rung, without waiting
for any (ASHA). A recipe that does not meet the requirements, or does harm where nothing is required of the quality,
comes behind all that do, by how far off it is.

Training changes neither speed nor size: what costs hardly less than the best so far stops at the end of its rung. So
does what is too far from the requirements for any training. Where the edge of a space is sought nothing else stops a
trial, and it does all of its epochs after the first rung: that the next one asks for more, and is worse after a short
training, says nothing of either.
"""

from collections.abc import Iterable
from typing import Any, Final

from optuna.pruners import SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from app.storage.records import Trial
from worker.search.baseline import harm_of
from worker.search.choice import best_cost
from worker.search.edge import edge_of
from worker.search.measured import cost, is_hopeless, violation
from worker.search.plan import Plan
from worker.search.rows import trials, undecided
from worker.search.shares import SHARES
from worker.search.study import new_study

REDUCTION: Final = 3
TIMED_GAIN: Final = 0.05
BEHIND_ALL: Final = 1e18
"""More than anything costs: bytes, multiplications, times."""

Changes = dict[str, dict[str, Any]]


def decide(plan: Plan, rows: Iterable[Trial]) -> Changes:
    """Say of each trial that came to the end of its rung whether it waits for the next or stops, by their ids."""
    rows = trials(rows)
    known = {row.id: [(int(rung), value) for rung, value in row.intermediate] for row in rows}
    best = None if plan.objective == "quality" else best_cost(plan, rows)
    changes: Changes = {}
    for row in undecided(rows):
        worth, price = value_of(plan, row), cost(row.result or {}, plan.objective)
        others = [values for id, values in known.items() if id != row.id]
        beaten = best is not None and price is not None and price >= best * (1 - _told_apart(plan))
        at_edge = edge_of(plan, row.space) is not None
        out = beaten or is_hopeless(row.result or {})
        goes_on = not out and (at_edge or not _is_pruned(others, known[row.id], row.rung, worth))
        known[row.id] = [*known[row.id], (row.rung, worth)]
        rung = len(SHARES) - 1 if at_edge else row.rung + 1
        changes[row.id] = _change(row, worth, rung if goes_on else None)
    return changes


def _told_apart(plan: Plan) -> float:
    """So much less it has to cost: a short timing is off by some percent, and for those nobody trains."""
    return TIMED_GAIN if plan.objective == "latency" else 0.0


def value_of(plan: Plan, row: Trial) -> float:
    """What is compared, less being better."""
    result = row.result or {}
    far, price = violation(result) + harm_of(plan, result), cost(result, plan.objective)
    return BEHIND_ALL * (1 + far) if far > 0 or price is None else price


def _change(row: Trial, worth: float, rung: int | None) -> dict[str, Any]:
    intermediate = [*row.intermediate, [row.rung, worth]]
    if rung is None:
        return {"state": "stopped_early", "intermediate": intermediate}
    return {"state": "waiting", "rung": rung, "share": SHARES[rung], "intermediate": intermediate}


def _is_pruned(
    others: list[list[tuple[int, float]]], mine: list[tuple[int, float]], rung: int, worth: float
) -> bool:
    study = new_study(1)
    study.add_trials(_frozen(values, None) for values in others)
    study.add_trial(_frozen(mine, (rung, worth)))
    pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
    return pruner.prune(study, study.get_trials(deepcopy=False)[-1])


def _frozen(completed: list[tuple[int, float]], now: tuple[int, float] | None) -> FrozenTrial:
    """A trial with the rungs that the pruner has noted, and the one that it is to judge."""
    steps = {REDUCTION**rung: value for rung, value in [*completed, *([now] if now else [])]}
    return create_trial(
        state=TrialState.RUNNING,
        intermediate_values=steps,
        system_attrs={f"completed_rung_{rung}": value for rung, value in completed},
    )
