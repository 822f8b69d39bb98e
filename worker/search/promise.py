"""Which of several spaces deserves the next trial.

    promise = gain / (what a trial of it takes · (1 + trials since its last step forward) · (1 + far))
    gain    = ln(cost of the best so far / least that a trial of the space can be expected to cost)

`far` is the least violation; where an edge is sought its logarithm, ln(1 + violation), since what is gentler violates
less. The best so far meets everything; it is the upload where that does and nothing beats it. What can be expected of a
space: at its edge (`edge`) the cost of the gentlest trial that asked too much, since all that is gentler costs more, or
what a straight line gives for the harsh end; elsewhere, or after one trial, the least so far, less a part that shrinks
with the trials. Of a space that was not tried the gain is guessed, the less the later it comes. One that promises
nothing gets no further trial.
"""

from collections.abc import Iterable
from math import inf, log, log1p
from typing import Final

from app.storage.records import Trial
from winnow.contract.spaces import corners
from worker.search.baseline import harm_of
from worker.search.choice import best_cost
from worker.search.edge import edge_of, least_cost
from worker.search.measured import cost, gain, violation
from worker.search.plan import Plan
from worker.search.rows import in_the_air, is_skipped, trials
from worker.search.shares import longest_training

OPTIMISM, EDGE_OPTIMISM = 0.25, 0.75
"""The part of the least cost that a second trial is hoped to save; more in a space whose edge was not seen yet."""
GUESSED_GAIN, NEXT_SPACE = log(2), 0.9
"""Of the first space, and of each further one as a part of the one before."""
TRAINING_TAKES: Final = 4.0
"""Trials without a training."""
LEAST_GAIN: Final = 0.01
"""Nobody waits for a percent."""
PATIENCE: Final = 10
"""Trials of a space without a step forward, after which it is given up."""


def by_promise(plan: Plan, rows: Iterable[Trial]) -> list[int]:
    """Order the spaces that are worth a trial, the most promising first."""
    rows = trials(rows)
    best = best_cost(plan, rows)
    usual = _price(plan, [row for row in rows if not in_the_air([row]) and not is_skipped(row)])
    worth = {}
    for index in range(len(plan.spaces)):
        own = [row for row in rows if row.space == index]
        worth[index] = _promise(plan, index, own, best) if own else _guess(plan, index, usual)
    return sorted((index for index in worth if worth[index] > 0), key=lambda index: (-worth[index], index))


def _guess(plan: Plan, space: int, usual: float) -> float:
    """Of a space that was not tried, where trials take so much as a rule."""
    return float(GUESSED_GAIN * NEXT_SPACE**space / (usual * (TRAINING_TAKES if _trains(plan, space) else 1)))


def _promise(plan: Plan, space: int, rows: list[Trial], best: float | None) -> float:
    ended = [row for row in rows if not in_the_air([row])]
    measured = [row for row in ended if row.result is not None and not is_skipped(row)]
    if not measured and in_the_air(rows):
        return 0.0
    values = [_value(plan, row) for row in measured]
    far = min(values)[0] if values else 0.0
    far = far if edge_of(plan, space) is None else log1p(far)
    idle = len(ended) - (values.index(min(values)) + 1 if values else 0)
    hoped = _gain(plan, space, measured, best) if measured else 1.0
    if idle > PATIENCE or hoped < LEAST_GAIN:
        return 0.0
    return hoped / (_price(plan, ended) * (1 + idle) * (1 + far))


def _gain(plan: Plan, space: int, rows: list[Trial], best: float | None) -> float:
    """1 where costs cannot be compared: nothing meets what is required yet, or the cost is a loss of quality."""
    if best is None or plan.objective == "quality":
        return 1.0
    meeting = [row for row in rows if _value(plan, row)[0] == 0]
    prices = [cost(row.result or {}, plan.objective) for row in meeting or rows]
    costs = [price for price in prices if price is not None]
    dimension = edge_of(plan, space)
    expected = None if dimension is None else least_cost(plan, dimension, rows)
    if expected is None:
        hoped = OPTIMISM if dimension is None else EDGE_OPTIMISM
        expected = min(costs, default=best) * (1 - hoped / len(rows))
    return gain(best, expected)


def _value(plan: Plan, row: Trial) -> tuple[float, float]:
    """How far a trial is from what is required, then what it costs."""
    result = row.result or {}
    price = cost(result, plan.objective)
    return violation(result) + harm_of(plan, result), inf if price is None else price


def _price(plan: Plan, rows: list[Trial]) -> float:
    """In what the budget counts. Where it counts trials, nothing may depend on the clock."""
    if plan.budget.trials is not None:
        return 1.0
    return max(1.0, sum(row.seconds for row in rows) / max(1, len(rows)))


def _trains(plan: Plan, space: int) -> bool:
    return any(longest_training(recipe) > 0 for recipe in corners(plan.spaces[space].recipe, 1))
