"""`auto` writes spaces that can bring what is wanted, with trainings that fit into the budget."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.facts import model_facts
from winnow.contract.data_uses import DataUses
from winnow.contract.job import JobRequest
from winnow.contract.model import Layer
from winnow.contract.presets import MANY_STEPS, TRAINING_RATE, auto_spaces, ranked
from winnow.contract.search import Space
from winnow.contract.stored_weights import ChannelGroup

TRAINED = {"distillation", "quantization_aware_training"}
CONVOLUTIONS = model_facts(layers=[Layer(name="c", op="Conv", weight=[8, 3, 3, 3], macs=90_000)])
PRODUCTS = model_facts(layers=[Layer(name="m", op="MatMul", weight=[64, 64], macs=90_000)])


def request(objective: str, seconds: int | None = 300, **changes: Any) -> JobRequest:
    budget = {"trials": 20} if seconds is None else {"seconds": seconds}
    body = {"model": "mdl_1", "recipe": {"auto": {}}, "search": {"objective": objective, "budget": budget}}
    return JobRequest.model_validate(body | changes)


def kinds(spaces: list[Space]) -> set[str]:
    return {" ".join(step.kind for step in space.recipe.steps) for space in spaces}


@pytest.mark.parametrize(
    ("facts", "objective", "absent", "present"),
    [
        (CONVOLUTIONS, "latency", {"palette", "float16", "weight_only", "int8_dynamic"}, {"int8"}),
        (PRODUCTS, "latency", {"palette", "float16"}, {"weight_only", "int8_dynamic"}),
        (CONVOLUTIONS, "size", {"int8_dynamic"}, {"palette", "float16", "weight_only", "channel_pruning"}),
        (CONVOLUTIONS, "macs", {"int8", "palette", "mixed_precision"}, {"channel_pruning", "low_rank"}),
    ],
)
def test_what_cannot_bring_what_is_wanted_is_left_out(
    facts: Any, objective: str, absent: set[str], present: set[str]
) -> None:
    found = kinds(auto_spaces(facts, request(objective)))
    assert not found & absent
    assert present <= found


def test_where_size_is_bounded_too_nothing_is_left_out() -> None:
    bounded = request("latency", require={"max_size_ratio": 0.2})
    assert {"palette", "float16", "weight_only"} <= kinds(auto_spaces(CONVOLUTIONS, bounded))


def test_on_a_gpu_half_precision_is_a_way_to_speed() -> None:
    assert "float16" in kinds(auto_spaces(CONVOLUTIONS, request("latency", target="onnxruntime-cuda")))


@pytest.mark.parametrize(
    ("target", "absent", "present"),
    [
        ("coreml", {"int8", "int8_static", "mixed_precision", "int8_dynamic", "weight_only"}, {"float16"}),
        ("webgpu", {"int8", "int8_static", "int8_dynamic"}, {"weight_only"}),
        ("tensorrt", {"int8_dynamic", "weight_only"}, {"int8", "int8_static"}),
    ],
)
def test_what_a_target_of_rules_has_no_operators_for_is_left_out(
    target: str, absent: set[str], present: set[str]
) -> None:
    found = kinds(auto_spaces(PRODUCTS, request("quality", target=target)))
    assert not {kind for space in found for kind in space.split()} & absent
    assert present <= found


@given(st.integers(1000, 10**11), st.integers(10, 10**5))
def test_a_training_takes_a_sixth_of_the_budget_at_most(macs: int, seconds: int) -> None:
    for space in auto_spaces(model_facts(macs=macs), request("latency", seconds)):
        for step in space.recipe.model_dump(mode="json", exclude_unset=True)["steps"]:
            if step["kind"] in TRAINED:
                work = 4 * macs * step["batch_size"] * step["steps"]
                assert 1 <= step["steps"] <= MANY_STEPS
                assert step["steps"] == 1 or work <= seconds / 6 * TRAINING_RATE


def test_no_space_comes_twice() -> None:
    spaces = auto_spaces(CONVOLUTIONS, request("size", None))
    assert len({space.model_dump_json() for space in spaces}) == len(spaces)


def test_channels_and_blocks_are_counted_where_they_are_known() -> None:
    groups = [ChannelGroup(channels=channels, producers=[]) for channels in (8, 4)]
    known = dict(ranked(model_facts(channel_groups=groups, blocks=[]), DataUses(), "latency"))
    assert known["pruned"] == "10 channels can be cut, in 2 groups"
    assert known["shallow"] == "0 residual blocks can be taken out"
    unknown = dict(ranked(model_facts(), DataUses(), "latency"))
    assert unknown["pruned"].startswith("its channels are not known")
