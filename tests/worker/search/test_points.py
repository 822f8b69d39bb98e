"""What is tried first, places along a setting, and what need not be run."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.searching import MILLION, plan_of, trial
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.search import Budget
from winnow.contract.spaces import Dimension
from worker.search.cheap import identity, largest_size, predicted_too_large, recipe_json, tried
from worker.search.first import first_points
from worker.search.points import Point, position_of, recipe_at, value_at

PRUNING = {
    "kind": "channel_pruning",
    "amount": {"between": [0.1, 0.9]},
    "criterion": {"any_of": ["l1", "l2"]},
}
OPTIONAL = {"kind": "sparsity", "sparsity": {"between": [0.6, 0.9]}, "optional": True}

orders = st.one_of(
    st.builds(
        lambda low, width: Dimension("x", low, low + width), st.floats(0.001, 10), st.floats(0.01, 1e4)
    ),
    st.builds(lambda low, n: Dimension("x", low, low + n, True), st.integers(1, 10), st.integers(1, 5000)),
    st.builds(
        lambda c: Dimension("x", choices=tuple(c)), st.lists(st.integers(1, 64), min_size=2, unique=True)
    ),
)


@settings(deadline=None)
@given(orders, st.floats(0, 1))
def test_a_value_lies_where_its_position_says(dimension: Dimension, position: float) -> None:
    value = value_at(dimension, position)
    assert value_at(dimension, position_of(dimension, value)) == value
    assert 0 <= position_of(dimension, value) <= 1


def test_the_defaults_come_first_then_the_ends_of_one_setting_after_the_other() -> None:
    plan = plan_of([PRUNING], [OPTIONAL, {"kind": "float16"}], budget=Budget(trials=40))
    assert [point.values for point in first_points(plan, 0)] == [
        {"steps.0.amount": 0.5, "steps.0.criterion": "l1"},
        {"steps.0.amount": 0.1, "steps.0.criterion": "l1"},
        {"steps.0.amount": 0.9, "steps.0.criterion": "l1"},
    ]
    assert [(point.space, point.values) for point in first_points(plan, 1)] == [
        (1, {"steps.0": True, "steps.0.sparsity": 0.75}),
        (1, {"steps.0": True, "steps.0.sparsity": 0.6}),
        (1, {"steps.0": True, "steps.0.sparsity": 0.9}),
    ]


def test_a_setting_of_a_step_within_a_step_has_its_default() -> None:
    recovery = {"kind": "finetune", "epochs": {"between": [1, 9]}, "batch_size": {"any_of": [64, 32]}}
    plan = plan_of([{"kind": "channel_pruning", "rounds": 2, "recovery": recovery}])
    values = next(first_points(plan, 0)).values
    assert values == {"steps.0.recovery.epochs": 3, "steps.0.recovery.batch_size": 64}


@pytest.mark.parametrize(("trials", "points"), [(1, 1), (4, 2), (40, 3)])
def test_the_first_ones_are_at_most_half_of_the_trials(trials: int, points: int) -> None:
    plan = plan_of([PRUNING], budget=Budget(trials=trials))
    assert len(list(first_points(plan, 0))) == points


def test_recipes_are_the_same_by_what_they_do_not_by_where_they_come_from() -> None:
    plan = plan_of([{"kind": "float16"}, OPTIONAL], [{"kind": "float16"}])
    without, alone = recipe_at(plan, Point(0, {"steps.1": False})), recipe_at(plan, Point(1))
    assert without is not None
    assert alone is not None
    assert identity(recipe_json(alone)) in tried([trial(0, recipe=recipe_json(without))])


@pytest.mark.parametrize(
    ("require", "limit"),
    [
        ({}, None),
        ({"max_size_ratio": 0.5}, MILLION / 2),
        ({"max_size_ratio": 0.5, "max_size_bytes": 1000}, 1000),
    ],
)
def test_the_largest_size_is_the_least_of_what_is_required(
    require: dict[str, Any], limit: float | None
) -> None:
    assert largest_size(plan_of([PRUNING], require=Requirements(**require))) == limit


@pytest.mark.parametrize(("predicted", "skipped"), [(1100, None), (1200, 1200), (None, None)])
def test_only_what_is_far_too_large_is_not_run(predicted: int | None, skipped: int | None) -> None:
    plan = plan_of([PRUNING], require=Requirements(max_size_bytes=1000), predict=lambda recipe: predicted)
    assert predicted_too_large(plan, Recipe.model_validate({"steps": [{"kind": "float16"}]})) == skipped
