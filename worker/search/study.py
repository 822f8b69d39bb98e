"""Rows as a study of Optuna's, rebuilt from nothing every turn, and the next place that it proposes.

Same rows, same proposal: the trials are added by number, and the sampler is seeded by the search's seed, the number of
the trial to come and all that the rows say. Trials that wait or run count as bad ones (`constant_liar`), so that those
in the air keep apart. Where nothing is required of the quality there are two objectives, and it is the second.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any, Final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from app.storage.records import Trial
from winnow.contract.spaces import Dimension, dimensions
from worker.search.measured import cost, loss, violation
from worker.search.plan import Plan
from worker.search.points import Point, is_ordered, ordered_choices, present, rounded
from worker.search.rows import in_the_air, trials, undecided

optuna.logging.set_verbosity(optuna.logging.ERROR)

REQUIRED: Final = "required"
STARTUP_TRIALS: Final = 6
"""So many are drawn at random, or are the first ones, before a model is made of them."""
FAILED: Final = 100.0
"""The violation of a trial that gave nothing: worse than any other."""


def proposals(plan: Plan, space: int, rows: Iterable[Trial], number: int) -> Iterator[Point]:
    """Ask for places of a space to try next, without end. Those that were proposed already count as in the air."""
    rows = trials(rows)
    study = build(plan, [row for row in rows if row.space == space], _seed(plan, rows, number))
    while True:
        asked = study.ask()
        values: dict[str, Any] = {}
        for dimension in dimensions(plan.spaces[space].recipe):
            if dimension.inside is None or values[dimension.inside]:
                values[dimension.path] = _value(dimension, _draw(asked, dimension))
        yield Point(space, values)


def build(plan: Plan, rows: list[Trial], seed: int) -> optuna.Study:
    """The study that has seen these rows, of one space."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = TPESampler(
            n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True, constant_liar=True, seed=seed
        )
    study = new_study(2 if has_two_objectives(plan) else 1, sampler)
    study.add_trials(frozen(plan, row) for row in rows)
    return study


def new_study(objectives: int, sampler: BaseSampler | None = None) -> optuna.Study:
    """An empty study in memory; all objectives are made small."""
    return optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)


def has_two_objectives(plan: Plan) -> bool:
    return plan.objective != "quality" and not plan.asks_for_quality


def frozen(plan: Plan, row: Trial) -> FrozenTrial:
    """A row as Optuna has it."""
    params, kinds = _params(plan, row)
    if in_the_air([row]) or undecided([row]):
        return create_trial(state=TrialState.RUNNING, params=params, distributions=kinds)
    values = _values(plan, row)
    if row.state == "finished" and values is not None:
        return create_trial(
            state=TrialState.COMPLETE,
            params=params,
            distributions=kinds,
            values=values,
            constraints={REQUIRED: violation(row.result or {})},
        )
    return create_trial(
        state=TrialState.PRUNED, params=params, distributions=kinds, constraints={REQUIRED: _shortfall(row)}
    )


def distribution(dimension: Dimension) -> BaseDistribution:
    """Choices by their index: those that are numbers in their order."""
    if dimension.choices:
        indices = len(dimension.choices)
        return (
            IntDistribution(0, indices - 1)
            if is_ordered(dimension)
            else CategoricalDistribution(range(indices))
        )
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.logarithmic)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.logarithmic)


def _draw(trial: optuna.Trial, dimension: Dimension) -> Any:
    name = dimension.path
    match distribution(dimension):
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case kind:
            raise AssertionError(kind)


def _params(plan: Plan, row: Trial) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    space = plan.spaces[row.space].recipe
    values = present(space, row.params)
    open = [dimension for dimension in dimensions(space) if dimension.path in values]
    params = {dimension.path: _drawn(dimension, values[dimension.path]) for dimension in open}
    return params, {dimension.path: distribution(dimension) for dimension in open}


def _values(plan: Plan, row: Trial) -> list[float] | None:
    result = row.result or {}
    wanted = [cost(result, plan.objective), *([loss(result)] if has_two_objectives(plan) else [])]
    values = [value for value in wanted if value is not None and isfinite(value)]
    return values if len(values) == len(wanted) else None


def _shortfall(row: Trial) -> float:
    """How far a trial without a value is from what is required; one that did a part of its epochs counts by that."""
    result = row.result
    if row.state != "stopped_early" or result is None:
        return FAILED
    return float(result["violation"]) if "violation" in result else violation(result)


def _value(dimension: Dimension, drawn: Any) -> Any:
    if dimension.choices:
        return (ordered_choices(dimension) if is_ordered(dimension) else dimension.choices)[drawn]
    return drawn if dimension.whole else rounded(dimension, drawn)


def _drawn(dimension: Dimension, value: Any) -> Any:
    if dimension.choices:
        return (ordered_choices(dimension) if is_ordered(dimension) else [*dimension.choices]).index(value)
    return value


def _seed(plan: Plan, rows: list[Trial], number: int) -> int:
    """All that the next proposal may depend on."""
    known = [
        [
            row.number,
            "open" if in_the_air([row]) else row.state,
            row.space,
            row.params,
            row.rung,
            _values(plan, row),
        ]
        for row in rows
    ]
    text = json.dumps([plan.seed, number, known], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
