"""What POST refuses of channel_pruning, and which data each setting of it asks for."""

from typing import Any

import pytest

from tests.support.admission import HALF, STATIC, TUNE, calibration, outcome, refused, training
from tests.support.facts import dataset_facts, model_facts

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
