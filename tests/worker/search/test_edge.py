"""Bisection towards the edge of what meets the requirements."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.searching import MILLION, Service, noisy, plan_of, result, trial
from winnow.contract.recipe import Requirements
from winnow.contract.search import Budget
from worker.search.cheap import recipe_json
from worker.search.edge import Done, Try, Unordered, Wait, edge_of, least_cost, next_step
from worker.search.measured import violation
from worker.search.plan import Plan
from worker.search.points import Point, recipe_at

LIMIT = 0.003
PLAN = plan_of(
    [{"kind": "channel_pruning", "amount": {"between": [0.1, 0.9]}}, {"kind": "distillation", "epochs": 9}],
    require=Requirements(max_metric_drop=LIMIT),
    budget=Budget(trials=8),
)


def curve(seed: int) -> Callable[[dict[str, Any], float], dict[str, Any]]:
    """A size that shrinks with the amount, and a drop that grows from a knee on, with the noise of a training."""
    draw = random.Random(seed)
    knee, power, shape = draw.uniform(0.05, 0.95), draw.uniform(1.5, 8), draw.uniform(0.7, 2)
    width, noise = draw.uniform(0, 0.002), draw.choice([0, 0.0001, 0.0003, 0.0005])

    def evaluate(recipe: dict[str, Any], share: float) -> dict[str, Any]:
        amount = recipe["steps"][0]["amount"]
        drop = LIMIT * max(0.0, (amount - knee + 0.1) / 0.1) ** power - 0.0005 + noisy(seed, recipe, noise)
        size = MILLION * (1 - amount) ** shape + 1000
        return result(size=size, drop=drop, width=width, max_drop=LIMIT)

    return evaluate


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 100_000))
def test_eight_trials_come_within_five_percent_of_the_best_of_a_grid_of_17(seed: int) -> None:
    service = Service(PLAN, curve(seed)).run()
    assert len(service.trials) <= 8
    grid_best = [r["size_bytes"] for r in grid(curve(seed)) if violation(r) == 0]
    reached = [r["size_bytes"] for row in service.trials if (r := row.result) and violation(r) == 0]
    assert not grid_best or min(reached) <= 1.05 * min(grid_best)


def grid(evaluate: Callable[[dict[str, Any], float], dict[str, Any]]) -> list[dict[str, Any]]:
    recipes = [recipe_at(PLAN, Point(0, {"steps.0.amount": round(0.1 + 0.05 * i, 4)})) for i in range(17)]
    return [evaluate(recipe_json(recipe), 1.0) for recipe in recipes if recipe]


def at(number: int, amount: float, size: float, drop: float, width: float = 0.0) -> Any:
    measured = result(size=size, drop=drop, width=width, max_drop=LIMIT)
    return trial(number, params={"steps.0.amount": amount}, result=measured)


def steps(plan: Plan, rows: list[Any]) -> Any:
    dimension = edge_of(plan, 0)
    assert dimension is not None
    return next_step(plan, dimension, rows)


def test_it_begins_a_quarter_of_the_way_and_goes_where_the_edge_is() -> None:
    assert steps(PLAN, []) == Try(0.3)
    assert steps(PLAN, [at(0, 0.3, 700, 0.0)]) == Try(0.65)
    assert steps(PLAN, [at(0, 0.3, 700, 0.1)]) == Try(0.2)
    assert steps(PLAN, [at(0, 0.5, 500, 0.0)]) == Try(0.75)
    assert steps(PLAN, [at(0, 0.5, 500, 0.1)]) == Try(0.3)


def test_what_is_in_the_air_splits_what_is_not_known() -> None:
    waiting = trial(0, state="waiting", params={"steps.0.amount": 0.5}, result=None)
    second = steps(PLAN, [waiting])
    assert isinstance(second, Try)
    assert abs(second.value - 0.5) > 0.15


def test_where_all_that_matters_is_in_the_air_it_waits() -> None:
    plan = plan_of([{"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}}])
    rows = [
        trial(number, state="waiting", params={"steps.0.bits": bits}) for number, bits in enumerate([8, 4, 3])
    ]
    assert steps(plan, rows) == Wait()


def test_the_harsh_end_of_bits_is_the_lowest() -> None:
    plan = plan_of([{"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}}])
    assert steps(plan, []) == Try(4)
    assert steps(
        plan, [trial(0, params={"steps.0.bits": 4}, result=result(drop=0.1, max_drop=LIMIT))]
    ) == Try(8)
    assert steps(plan, [trial(0, params={"steps.0.bits": 4}, result=result(max_drop=LIMIT))]) == Try(3)


def test_a_direction_that_the_results_contradict_is_turned_round() -> None:
    """Of this setting more is gentler, against what its name tells."""
    rows = [at(0, 0.5, 500, 0.1), at(1, 0.3, 300, 0.2)]
    step = steps(PLAN, rows)
    assert isinstance(step, Try)
    assert step.value > 0.5


def test_results_without_an_order_are_not_bisected() -> None:
    assert steps(PLAN, [at(0, 0.2, 800, 0.0), at(1, 0.4, 600, 0.1), at(2, 0.6, 700, 0.1)]) == Unordered()
    assert steps(PLAN, [at(0, 0.2, 800, 0.1), at(1, 0.4, 600, 0.05)]) == Unordered()


def test_what_the_samples_leave_open_contradicts_no_order() -> None:
    """Of 200 samples two more or fewer agree by chance; a drop that is known to a tenth of that is another matter."""
    for width, ordered in ((0.02, True), (0.001, False)):
        worst = (0.001, LIMIT + 0.02, LIMIT + 0.01)
        rows = [at(n, 0.2 + 0.2 * n, 800 - 200 * n, drop - width, width) for n, drop in enumerate(worst)]
        assert (steps(PLAN, rows) != Unordered()) == ordered


def test_where_something_harsher_meets_the_requirements_the_edge_is_sought_behind_it() -> None:
    rows = [at(0, 0.5, 500, 0.0032), at(1, 0.45, 550, 0.0), at(2, 0.55, 450, 0.0)]
    step = steps(PLAN, rows)
    assert isinstance(step, Try)
    assert step.value > 0.6


def test_it_looks_beyond_the_edge_once() -> None:
    rows = [at(0, 0.5, 500, 0.0), at(1, 0.55, 450, 0.1)]
    assert steps(PLAN, rows) == Try(0.6)
    rows.append(at(2, 0.6, 400, 0.2))
    assert steps(PLAN, rows) == Try(0.525)


def test_behind_what_just_meets_the_requirements_it_looks_for_what_surely_does() -> None:
    rows = [
        at(0, 0.5, 500, 0.0005, 0.002),
        at(1, 0.55, 450, 0.1),
        at(2, 0.6, 400, 0.2),
    ]
    assert steps(PLAN, rows) == Try(0.3)
    rows.append(at(3, 0.3, 700, -0.002, 0.002))
    assert steps(PLAN, rows) == Try(0.4)
    rows += [at(4, 0.4, 600, -0.001, 0.002), at(5, 0.45, 550, -0.001, 0.002)]
    assert steps(PLAN, rows) == Try(0.475)


@given(st.floats(1.05, 2), st.floats(0.3, 7), st.integers(0, 16))
@settings(max_examples=50, deadline=None)
def test_no_value_is_tried_twice_however_it_is_rounded(low: float, width: float, knee: int) -> None:
    bounds = [round(low, 3), round(low + width, 3)]
    plan = plan_of([{"kind": "mixed_precision", "min_speedup": {"between": bounds}}], objective="latency")
    dimension, tried, rows = edge_of(plan, 0), set[float](), list[Any]()
    assert dimension is not None
    while isinstance(step := next_step(plan, dimension, rows), Try):
        assert step.value not in tried
        tried.add(step.value)
        place = (step.value - bounds[0]) / (bounds[1] - bounds[0])
        drop = 0.0 if place * 16 <= knee else 0.1
        made = result(speedup=1 + step.value, drop=drop, max_drop=0.01)
        rows.append(trial(len(rows), params={dimension.path: step.value}, result=made))
    assert step == Done()


@given(st.integers(1, 40), st.integers(17, 3000), st.floats(0, 1), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_no_whole_number_is_tried_twice_and_nothing_is_waited_for_in_vain(
    low: int, width: int, knee: float, workers: int
) -> None:
    plan = plan_of([{"kind": "int8_static", "samples": {"between": [low, low + width]}}])
    dimension, rows, waiting = edge_of(plan, 0), list[Any](), list[int]()
    assert dimension is not None
    while waiting or isinstance(next_step(plan, dimension, rows), Try):
        while len(waiting) < workers and isinstance(step := next_step(plan, dimension, rows), Try):
            assert step.value not in {row.params[dimension.path] for row in rows}
            waiting.append(len(rows))
            rows.append(trial(len(rows), state="waiting", params={dimension.path: step.value}))
        number = waiting.pop()
        place = (rows[number].params[dimension.path] - low) / width
        made = result(size=MILLION * (1 - place / 2), drop=0.0 if place <= knee else 0.1, max_drop=0.01)
        rows[number] = replace(rows[number], state="finished", result=made)
    assert next_step(plan, dimension, rows) == Done()


def test_where_nothing_is_sure_the_first_edge_is_halved() -> None:
    rows = [at(n, 0.1 + 0.05 * n, 900 - 50 * n, 0.0005 if n < 5 else 0.1, 0.002) for n in range(7)]
    assert steps(PLAN, rows) == Try(0.325)


REFUSED = {"refused": "unsupported"}


def test_of_what_would_be_refused_as_a_job_or_was_cut_off_nothing_is_known() -> None:
    step = steps(PLAN, [trial(0, state="failed", params={"steps.0.amount": 0.3}, result=REFUSED)])
    assert isinstance(step, Try)
    assert step.value > 0.3
    cut_off = trial(0, state="stopped_early", params={"steps.0.amount": 0.3}, result=None)
    assert steps(PLAN, [cut_off]) == step
    edge = [at(1, 0.5, 500, 0.0), at(2, 0.55, 450, 0.1), at(3, 0.6, 400, 0.1)]
    middle = trial(4, state="failed", params={"steps.0.amount": 0.525}, result=REFUSED)
    assert steps(PLAN, [*edge, middle]) == Try(0.5375)


def test_where_every_place_of_the_grid_would_be_refused_others_are_drawn() -> None:
    amounts = [round(0.1 + 0.05 * n, 4) for n in range(17)]
    rows = [
        trial(n, state="failed", params={"steps.0.amount": amount}, result=REFUSED)
        for n, amount in enumerate(amounts)
    ]
    assert steps(PLAN, rows) == Unordered()


def test_what_was_stopped_asked_too_little_unless_it_is_hopeless() -> None:
    for drop, value in ((0.0, 0.65), (0.1, 0.2)):
        judged = {"share": 1 / 9, "intermediate": [[0, 700.0]]}
        stopped = replace(at(0, 0.3, 700, drop), state="stopped_early", **judged)
        assert steps(PLAN, [stopped]) == Try(value)


def test_what_a_space_may_cost_is_its_gentlest_failure_or_on_a_straight_line_to_its_end() -> None:
    dimension = edge_of(PLAN, 0)
    assert dimension is not None
    rows = [at(0, 0.3, 700, 0.0), at(1, 0.6, 400, 0.0)]
    assert least_cost(PLAN, dimension, rows[:1]) is None
    assert least_cost(PLAN, dimension, rows) == pytest.approx(100)
    assert least_cost(PLAN, dimension, [*rows, at(2, 0.8, 250, 0.1)]) == 250


def test_it_is_done_where_all_or_nothing_meets_the_requirements() -> None:
    assert steps(PLAN, [at(0, 0.9, 100, 0.0)]) == Done()
    assert steps(PLAN, [at(0, 0.1, 900, 0.1), at(1, 0.3, 700, 0.1)]) == Done()


def test_of_one_trial_at_the_wrong_end_it_is_not_done() -> None:
    """Where the others were refused, nothing tells which end is the harsh one."""
    step = steps(PLAN, [at(0, 0.1, 900, 0.1)])
    assert isinstance(step, Try)
    assert step.value > 0.1


def test_only_one_ordered_setting_with_requirements_is_bisected() -> None:
    pruning = {"kind": "channel_pruning", "amount": {"between": [0.1, 0.9]}}
    assert edge_of(plan_of([pruning], require=Requirements()), 0) is None
    calibrations = {"any_of": ["mse", "minmax", "entropy"]}
    assert edge_of(plan_of([{"kind": "int8_static", "calibration": calibrations}]), 0) is None
    assert edge_of(plan_of([pruning | {"rounds": {"between": [1, 4]}}]), 0) is None
    assert edge_of(plan_of([{"kind": "float16"}], [pruning]), 1) is not None
