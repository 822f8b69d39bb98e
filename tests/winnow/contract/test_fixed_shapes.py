"""Sizes that a recipe fixes: what the inputs are then, and what is refused with its place."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.facts import model_facts, tensor
from tests.support.refusals import refusal
from winnow.contract.fixed_shapes import fixed_by_steps, with_fixed_shapes
from winnow.contract.recipe import Recipe

INPUTS = [tensor("image", "batch", 3, "side", "side"), tensor("state", 2, "batch", 8), tensor("rate", None)]


def shapes(wanted: dict[str, Any]) -> list[list[Any]]:
    return [spec.shape for spec in with_fixed_shapes(INPUTS, wanted, "fix_shapes")]


@pytest.mark.parametrize(
    ("wanted", "becomes"),
    [
        ({"batch": 1}, [[1, 3, "side", "side"], [2, 1, 8], [None]]),
        ({"batch": 4, "side": 32}, [[4, 3, 32, 32], [2, 4, 8], [None]]),
        ({"image": [4, 3, 32, 32]}, [[4, 3, 32, 32], [2, 4, 8], [None]]),
        ({"rate": [5]}, [["batch", 3, "side", "side"], [2, "batch", 8], [5]]),
        ({}, [spec.shape for spec in INPUTS]),
    ],
)
def test_a_name_stands_for_its_number_wherever_it_is(
    wanted: dict[str, Any], becomes: list[list[Any]]
) -> None:
    assert shapes(wanted) == becomes


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        ({"widht": 1}, "unknown_input", "called 'widht'"),
        ({"widht": [1]}, "unknown_input", "vary: 'batch', 'side'"),
        ({"image": 1}, "inputs_do_not_fit", "list of sizes, as [1, 3, 1, 1]"),
        ({"batch": [1]}, "inputs_do_not_fit", "a single number"),
        ({"image": [1, 3, 32]}, "inputs_do_not_fit", "give as many sizes"),
        ({"image": [1, 4, 32, 32]}, "inputs_do_not_fit", "those that are fixed as they are"),
        ({"image": [1, 3, 32, 31]}, "inputs_do_not_fit", "'side' cannot be 32 and 31"),
        ({"batch": 2, "state": [2, 1, 8]}, "inputs_do_not_fit", "'batch' cannot be 2 and 1"),
    ],
)
def test_what_the_inputs_do_not_have_is_refused_by_name(wanted: dict[str, Any], code: str, said: str) -> None:
    problem = refusal(lambda: shapes(wanted))
    assert problem is not None
    assert (problem.code, problem.field) == (code, f"fix_shapes.{[*wanted][-1]}")
    assert said in problem.detail


def test_every_fault_is_told() -> None:
    problem = refusal(lambda: shapes({"a": 1, "batch": 1, "b": [2]}))
    assert problem is not None
    assert [error.path for error in problem.errors] == ["fix_shapes.a", "fix_shapes.b"]


def recipe(*steps: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"steps": list(steps)})


def test_steps_fix_one_after_the_other_and_none_behind_a_student() -> None:
    facts = model_facts(inputs=INPUTS)
    both = recipe(
        {"kind": "simplify", "fix_shapes": {"batch": 1}},
        {"kind": "float16"},
        {"kind": "simplify", "fix_shapes": {"side": 8}},
    )
    assert fixed_by_steps(facts, both.steps).inputs[0].shape == [1, 3, 8, 8]
    student = {"kind": "distillation", "student": "mdl_2", "epochs": 1}
    behind = recipe(student, {"kind": "simplify", "fix_shapes": {"batch": 1}})
    problem = refusal(lambda: fixed_by_steps(facts, behind.steps))
    assert problem is not None
    assert (problem.code, problem.field) == ("wrong_order", "recipe.steps.1.fix_shapes")


@pytest.mark.parametrize(
    "settings",
    [
        *({"opset": 6}, {"opset": 26}, {"undo_contrib": 2}),
        *({"fix_shapes": {"batch": 0}}, {"fix_shapes": {"batch": 2**31}}, {"fix_shapes": {"": 1}}),
    ],
)
def test_settings_out_of_range_are_no_recipe(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        recipe({"kind": "simplify", **settings})
