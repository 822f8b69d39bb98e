"""Short trainings first: how short, and of which recipes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.searching import plan_of
from winnow.contract.recipe import Recipe
from winnow.contract.search import Budget
from worker.search.shares import SHARES, at_share, first_share

SPACE = [
    {"kind": "distillation", "epochs": 18, "temperature": {"between": [1, 10]}, "soft": {"between": [0.1, 1]}}
]
PLAN = plan_of(SPACE)
RECOVERY = {
    "kind": "channel_pruning",
    "rounds": 3,
    "recovery": {"kind": "finetune", "epochs": 9},
}


def recipe(*steps: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"steps": list(steps)})


def test_every_training_is_shortened_also_between_the_rounds_of_a_pruning() -> None:
    short = at_share(recipe(RECOVERY, {"kind": "distillation", "epochs": 3, "steps": 900}), 1 / 9)
    assert short == recipe(
        RECOVERY | {"recovery": {"kind": "finetune", "epochs": 1}},
        {"kind": "distillation", "epochs": 1, "steps": 100},
    )


@settings(deadline=None)
@given(st.integers(1, 100), st.sampled_from(SHARES))
def test_a_share_is_at_least_one_epoch_and_the_whole_changes_nothing(epochs: int, share: float) -> None:
    whole = recipe({"kind": "finetune", "epochs": epochs})
    step = at_share(whole, share).steps[0]
    assert 1 <= step.epochs <= epochs  # type: ignore[union-attr]
    assert at_share(whole, 1.0) == whole


@pytest.mark.parametrize(
    ("steps", "trials", "share"),
    [
        ([{"kind": "finetune", "epochs": 6}], 6, 1 / 9),
        ([{"kind": "finetune", "epochs": 5}], 6, 1.0),
        ([{"kind": "finetune", "epochs": 2, "steps": 500}], 6, 1 / 9),
        ([RECOVERY], 6, 1 / 9),
        ([{"kind": "finetune", "epochs": 6}], 5, 1.0),
        ([{"kind": "finetune", "epochs": 6}], None, 1 / 9),
        ([{"kind": "float16"}], 6, 1.0),
    ],
)
def test_short_trainings_and_small_budgets_have_no_rungs(
    steps: list[dict[str, Any]], trials: int | None, share: float
) -> None:
    budget = Budget(trials=trials, seconds=60)
    assert first_share(replace(PLAN, budget=budget), recipe(*steps)) == share
