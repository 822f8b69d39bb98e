"""What POST refuses of channel_pruning, and which data each setting of it asks for."""

from typing import Any

import pytest

from tests.support.admission import HALF, STATIC, TUNE, calibration, outcome, refused, training
from tests.support.facts import dataset_facts, model_facts
from winnow.contract.model import ModelFacts
from winnow.contract.stored_weights import ChannelGroup, EmbeddingWidth

PRUNE = {"kind": "channel_pruning"}
ROUNDS = {**PRUNE, "rounds": 2, "recovery": TUNE}
WHERE = "recipe.steps.0"
NORMED = model_facts(operators={"Conv": 1, "BatchNormalization": 1, "Gemm": 1})


@pytest.mark.parametrize("criterion", [None, "l1", "l2", "fpgm", "random"])
def test_criteria_of_weights_need_no_data(criterion: str) -> None:
    assert outcome({**PRUNE, "criterion": criterion}) is None


@pytest.mark.parametrize(
    "step", [{"criterion": c} for c in ("taylor", "fisher", "activation")] + [{"repair": True}]
)
def test_what_looks_at_values_needs_calibration_data(step: dict[str, Any]) -> None:
    assert refused({**PRUNE, **step}) == ("missing_data", "data.calibration")
    assert outcome({**PRUNE, **step}, data=calibration()) is None


def test_batchnorm_scale_needs_batch_normalisation() -> None:
    step = {**PRUNE, "criterion": "batchnorm_scale"}
    assert outcome(step, model=NORMED) is None
    assert refused(step) == ("invalid_request", f"{WHERE}.criterion")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"exclude": ["/nothing/*"]}, "pattern_matches_nothing", f"{WHERE}.exclude.0"),
        ({"exclude": ["*"]}, "nothing_to_compress", f"{WHERE}.exclude"),
        (
            {"rounds": 2, "recovery": {**TUNE, "exclude": ["/nothing/*"]}},
            "pattern_matches_nothing",
            f"{WHERE}.recovery.exclude.0",
        ),
    ],
)
def test_patterns_have_to_match_and_to_leave_something(
    changes: dict[str, Any], code: str, field: str
) -> None:
    assert refused({**PRUNE, **changes}, data=training()) == (code, field)


def test_a_model_without_weights_has_no_channels() -> None:
    assert refused(PRUNE, model=model_facts(layers=[])) == ("nothing_to_compress", f"{WHERE}.kind")


@pytest.mark.parametrize(
    "step",
    [
        {"criterion": "largest"},
        {"amount": 1.0},
        {"amount": 0.0},
        {"rounds": 0},
        {"recovery": TUNE},
        {"round_to": 0},
    ],
)
def test_what_is_no_setting_is_refused_by_the_schema(step: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(step))):
        outcome({**PRUNE, **step}, data=training())


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ([0.5], "schedule has 1 shares, one for each of 2 rounds was expected"),
        ([0.8, 0.6], "schedule ends with 0.6, and amount 0.5 leaves 0.5"),
        ([0.4, 0.5], "schedule leaves 0.5 behind round 2, more than the 0.4 before it: shares fall"),
    ],
)
def test_a_schedule_of_other_rounds_is_refused_with_its_numbers(schedule: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        outcome({**PRUNE, "amount": 0.5, "rounds": 2, "schedule": schedule})


def test_recovery_is_checked_like_the_step_that_it_is() -> None:
    assert refused(ROUNDS) == ("missing_data", "data.training")
    assert outcome(ROUNDS, data=training()) is None
    assert refused(ROUNDS, data=training(), dataset=dataset_facts(target=None)) == (
        "missing_data",
        "data.training",
    )
    missing = {**ROUNDS, "recovery": {**TUNE, "output": "nowhere"}}
    assert refused(missing, data=training()) == ("unknown_output", f"{WHERE}.recovery.output")


def test_a_teacher_of_recovery_has_to_fit() -> None:
    step = {**PRUNE, "rounds": 2, "recovery": {"kind": "distillation", "teacher": "t"}}
    other = model_facts(outputs=[{"name": "logits", "dtype": "float32", "shape": ["N", 7]}])
    assert outcome(step, data=training(), others={"t": model_facts()}) is None
    assert refused(step, data=training(), others={"t": other}) == (
        "teacher_does_not_fit",
        f"{WHERE}.recovery.teacher",
    )


def test_pruning_wants_floats() -> None:
    problem = outcome(STATIC, PRUNE, data=calibration())
    assert problem is not None
    assert (problem.code, problem.field) == ("already_quantized", "recipe.steps.1.kind")
    assert "channel_pruning works on weights that are floats" in problem.detail
    assert "quantization_aware_training" not in problem.detail
    assert refused(HALF, PRUNE) == ("wrong_order", "recipe.steps.1.kind")
    assert outcome(PRUNE, STATIC, data=calibration()) is None


def of_heads(**changes: Any) -> ModelFacts:
    groups = [ChannelGroup(channels=4, producers=[1], unit="head", width=24)]
    return model_facts(channel_groups=groups, **changes)


@pytest.mark.parametrize(("round_to", "is_refused"), [(8, False), (48, False), (96, True), (100, True)])
def test_heads_that_no_multiple_lets_go_are_refused(round_to: int, is_refused: bool) -> None:
    """48 is two heads, 96 all four, 100 is no multiple of any."""
    problem = outcome({**PRUNE, "round_to": round_to}, model=of_heads())
    if is_refused:
        assert problem is not None
        assert (problem.code, problem.field) == ("invalid_request", f"{WHERE}.round_to")
        assert "4 heads are 24 wide" in problem.detail
        assert "/head/fc" in problem.detail
    else:
        assert problem is None
    for way_out in ({"heads": "inside"}, {"exclude": ["/head/*"]}):
        assert outcome({**PRUNE, "round_to": round_to, **way_out}, model=of_heads()) is None


@pytest.mark.parametrize(
    ("widths", "why"),
    [
        (None, None),
        ([EmbeddingWidth(channels=384, pinned=None)], None),
        ([EmbeddingWidth(channels=384, pinned="graph output 'y'")], "384 cannot be cut: graph output 'y'"),
        ([], "no residual stream"),
    ],
)
def test_an_embedding_width_that_stays_is_refused(
    widths: list[EmbeddingWidth] | None, why: str | None
) -> None:
    problem = outcome({**PRUNE, "embedding_width": True}, model=model_facts(embedding_widths=widths))
    assert (problem is None) == (why is None)
    if problem is not None:
        assert problem.field == f"{WHERE}.embedding_width"
        assert str(why) in problem.detail
    assert outcome(PRUNE, model=model_facts(embedding_widths=widths)) is None
