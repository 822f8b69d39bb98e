"""An open recipe is a space, and closing it at a place gives the recipe that stands there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.contract.open_steps import OpenRecipe
from winnow.contract.recipe import Recipe
from winnow.contract.spaces import Dimension, close, corners, dimensions

PRUNED = {"kind": "channel_pruning", "amount": {"between": [0.1, 0.8]}, "samples": 64}
WEIGHTS = {"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}, "optional": True}


def recipe(*steps: dict[str, Any]) -> OpenRecipe:
    return OpenRecipe.model_validate({"steps": list(steps)})


def test_what_is_open_is_listed_in_order() -> None:
    assert dimensions(recipe(PRUNED, WEIGHTS)) == [
        Dimension("steps.0.amount", 0.1, 0.8),
        Dimension("steps.1", choices=(True, False)),
        Dimension("steps.1.bits", choices=(8, 4, 3), inside="steps.1"),
    ]


def test_whole_numbers_stay_whole_and_wide_ranges_are_searched_by_magnitude() -> None:
    steps = {"kind": "finetune", "epochs": {"between": [1, 9]}, "learning_rate": {"between": [1e-5, 1e-2]}}
    rate, epochs = sorted(dimensions(recipe(steps)), key=lambda d: d.high)
    assert (epochs.whole, epochs.logarithmic, epochs.ends) == (True, False, (1, 5, 9))
    assert (rate.whole, rate.logarithmic) == (False, True)


@given(amount=st.floats(0.1, 0.8), done=st.booleans(), bits=st.sampled_from([8, 4, 3]))
def test_closing_sets_exactly_what_was_open(amount: float, done: bool, bits: int) -> None:
    place = {"steps.0.amount": amount, "steps.1": done, "steps.1.bits": bits}
    closed = close(recipe(PRUNED, WEIGHTS), place)
    steps: list[dict[str, Any]] = [{"kind": "channel_pruning", "amount": amount, "samples": 64}]
    steps += [{"kind": "weight_only", "bits": bits}] if done else []
    assert closed == Recipe.model_validate({"steps": steps})


def test_without_any_step_there_is_no_recipe() -> None:
    assert close(recipe(WEIGHTS), {"steps.0": False, "steps.0.bits": 8}) is None


def test_corners_are_choices_and_ends_and_those_that_do_not_go_together_are_left_out() -> None:
    sparse = {
        "kind": "sparsity",
        "structure": {"any_of": ["2:4", "unstructured"]},
        "sparsity": {"any_of": [None, 0.5]},
    }
    told = [
        step.model_dump(include={"structure", "sparsity"})
        for r in corners(recipe(sparse), 9)
        for step in r.steps
    ]
    assert {"structure": "2:4", "sparsity": 0.5} not in told
    assert len(told) == 3
    assert len(list(corners(recipe(PRUNED), 9))) == 3


@pytest.mark.parametrize("limit", [1, 2])
def test_of_many_corners_so_many_are_looked_at(limit: int) -> None:
    assert len(list(corners(recipe(PRUNED, WEIGHTS), limit))) == limit
