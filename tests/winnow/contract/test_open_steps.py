"""Every setting of every step can be left open, as its type allows, and nothing else."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from winnow.contract.open_steps import OpenRecipe, is_number, is_open
from winnow.contract.recipe import AnyStep, Recipe

STEPS: dict[str, type[BaseModel]] = {
    get_args(step.model_fields["kind"].annotation)[0]: step for step in get_args(get_args(AnyStep)[0])
}
SETTINGS = [(kind, name) for kind, step in STEPS.items() for name in step.model_fields if name != "kind"]
NUMBERS = [(kind, name) for kind, name in SETTINGS if is_number(STEPS[kind].model_fields[name].annotation)]


def opened(kind: str, **settings: Any) -> Any:
    return OpenRecipe.model_validate({"steps": [{"kind": kind, **settings}]}).steps[0]


def refused(kind: str, **settings: Any) -> list[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as error:
        opened(kind, **settings)
    return [each["loc"] for each in error.value.errors()]


@pytest.mark.parametrize("kind", STEPS)
def test_a_choice_of_a_setting_s_own_default_is_taken(kind: str) -> None:
    for name, field in STEPS[kind].model_fields.items():
        if name != "kind" and not field.is_required():
            default = field.get_default(call_default_factory=True)
            value = default.model_dump() if isinstance(default, BaseModel) else default
            assert getattr(opened(kind, **{name: {"any_of": [value]}}), name).any_of == [value]


def test_what_is_no_number_has_no_range() -> None:
    for kind, name in {*SETTINGS} - {*NUMBERS}:
        (loc,) = refused(kind, **{name: {"between": [0.1, 0.2]}})
        assert loc[:4] == ("steps", 0, kind, name)


def test_a_range_beyond_what_the_setting_takes_is_refused_at_its_place() -> None:
    for kind, name in NUMBERS:
        loc = refused(kind, **{name: {"between": [-1e30, 1e30]}})[0]
        assert loc[:4] == ("steps", 0, kind, name)


@given(low=st.floats(0.01, 0.99), high=st.floats(0.01, 0.99))
def test_a_range_goes_from_a_lower_number_to_a_higher_one(low: float, high: float) -> None:
    if low < high:
        assert opened("channel_pruning", amount={"between": [low, high]}).amount.between == (low, high)
    else:
        assert refused("channel_pruning", amount={"between": [low, high]})


@pytest.mark.parametrize("open", [{"any_of": []}, {"any_of": [8, 8]}, {"any_of": [8, 5]}, {"any_of": 8}])
def test_a_choice_is_of_different_values_that_the_setting_takes(open: dict[str, Any]) -> None:
    assert refused("weight_only", bits=open)


def test_a_step_inside_a_step_is_open_in_the_same_way() -> None:
    step = opened(
        "channel_pruning", rounds=2, recovery={"kind": "distillation", "temperature": {"between": [1, 8]}}
    )
    assert step.recovery.temperature.between == (1, 8)
    loc = refused(
        "channel_pruning", rounds=2, recovery={"kind": "distillation", "temperature": {"between": [1, 9999]}}
    )[0]
    assert loc[3] == "recovery"
    assert "temperature" in loc


@pytest.mark.parametrize(
    ("sent", "open"),
    [
        ({"steps": [{"kind": "int8"}]}, False),
        ({"steps": [{"kind": "int8", "optional": True}]}, True),
        ({"steps": [{"kind": "int8", "optional": False}]}, False),
        ({"steps": [{"kind": "weight_only", "bits": {"any_of": [8]}}]}, True),
        ({"steps": [{"kind": "channel_pruning", "recovery": {"epochs": {"between": [1, 2]}}}]}, True),
        ({"steps": "any_of"}, False),
        (None, False),
    ],
)
def test_open_is_what_has_a_range_a_choice_or_an_optional_step(sent: Any, open: bool) -> None:
    assert is_open(sent) is open


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_a_closed_step_reads_the_same_in_its_open_form(kind: str) -> None:
    try:
        closed = Recipe.model_validate({"steps": [{"kind": kind}]}).steps[0]
    except ValidationError:
        return  # more is required than its kind
    assert {**closed.model_dump(mode="json"), "optional": False} == opened(kind).model_dump(mode="json")
