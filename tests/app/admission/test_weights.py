"""Steps for weights at POST: what they need, what may stand beside them, and models without anything for them."""

from typing import Any

import pytest

from tests.support.admission import (
    DISTIL,
    DYNAMIC,
    HALF,
    QAT,
    STATIC,
    TUNE,
    calibration,
    outcome,
    refused,
    training,
)
from tests.support.facts import model_facts
from winnow.contract.model import Layer, ModelFacts

WEIGHT_ONLY = {"kind": "weight_only"}
PALETTE: dict[str, Any] = {"kind": "palette"}
BINARY: dict[str, Any] = {"kind": "binary"}
LOW_RANK = {"kind": "low_rank"}
SPARSE = {"kind": "sparsity", "criterion": "magnitude"}
BOTH = {**calibration(), **training()}
RECURRENT = model_facts(layers=[Layer(name="lstm", op="LSTM", weight=[1, 16, 8], macs=None)])
IMAGES = model_facts(layers=[Layer(name="conv", op="Conv", weight=[8, 3, 3, 3], macs=None)])


# --- weight_only


@pytest.mark.parametrize("settings", [{}, {"bits": 3, "block": 0}, {"layers": "products"}, {"method": "rtn"}])
def test_a_model_with_products_may_come_without_data(settings: dict[str, Any]) -> None:
    assert outcome({**WEIGHT_ONLY, **settings}) is None


def test_gptq_needs_calibration_data() -> None:
    gptq = {**WEIGHT_ONLY, "method": "gptq"}
    assert refused(gptq) == ("missing_data", "data.calibration")
    assert refused(gptq | {"method": "awq"}) == ("missing_data", "data.calibration")
    assert outcome(gptq, data=calibration()) is None


def test_a_model_without_such_layers_is_refused_naming_what_it_has() -> None:
    problem = outcome(WEIGHT_ONLY, model=RECURRENT)
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_quantize", "recipe.steps.0.kind")
    assert "1 × LSTM" in problem.detail


def test_products_alone_of_a_convolutional_model_are_refused_with_the_way_out() -> None:
    problem = outcome({**WEIGHT_ONLY, "layers": "products"}, model=IMAGES)
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_quantize", "recipe.steps.0.layers")
    assert "`all`" in problem.detail


@pytest.mark.parametrize("other", [STATIC, DYNAMIC, WEIGHT_ONLY])
def test_weights_are_quantized_once(other: dict[str, Any]) -> None:
    assert refused(WEIGHT_ONLY, other, data=calibration()) == ("already_quantized", "recipe.steps.1.kind")
    assert refused(WEIGHT_ONLY, model=model_facts(quantized=True)) == (
        "already_quantized",
        "recipe.steps.0.kind",
    )


@pytest.mark.parametrize("block", [1, 8, 24, 8192])
def test_blocks_are_what_runtimes_read(block: int) -> None:
    with pytest.raises(ValueError, match="block"):
        outcome({**WEIGHT_ONLY, "block": block})


# --- palette, binary


@pytest.mark.parametrize("few", [PALETTE, BINARY])
@pytest.mark.parametrize(
    ("before", "after", "code", "advice"),
    [
        ([], [], None, ""),
        ([], [TUNE], None, ""),
        ([], [DISTIL, TUNE], None, ""),
        ([SPARSE, TUNE], [DISTIL], None, ""),
        ([], [QAT], "not_quantized", "int8_static in place of that step"),
        ([], [STATIC], "already_quantized", "Leave this step out"),
        ([], [SPARSE], "already_quantized", "Put it before the step that quantizes"),
        ([], [PALETTE], "already_quantized", "Leave this step out"),
        ([], [{**DISTIL, "student": "s"}], None, ""),
    ],
)
def test_training_may_follow_and_what_changes_weights_may_not(
    few: dict[str, Any], before: list[Any], after: list[Any], code: str | None, advice: str
) -> None:
    problem = outcome(*before, few, *after, data=BOTH, others={"s": model_facts()})
    assert (problem and problem.code) == code
    assert problem is None or (
        problem.field == f"recipe.steps.{len(before) + 1}.kind" and advice in problem.detail
    )


@pytest.mark.parametrize("few", [PALETTE, BINARY])
def test_not_after_steps_that_leave_no_float32_weights(few: dict[str, Any]) -> None:
    for step, code in ((STATIC, "already_quantized"), (HALF, "wrong_order")):
        problem = outcome(step, few, data=BOTH)
        assert problem is not None
        assert (problem.code, problem.field) == (code, "recipe.steps.1.kind")


@pytest.mark.parametrize("few", [PALETTE, BINARY])
def test_a_model_without_such_layers_is_refused(few: dict[str, Any]) -> None:
    convolution = Layer(name="conv", op="Conv", weight=[8, 3, 3, 3], macs=1)
    lstm = Layer(name="lstm", op="LSTM", weight=[1, 16, 4], macs=1)
    assert outcome(few, model=model_facts(layers=[convolution, lstm])) is None
    for step, layers, told in (
        ({**few, "layers": "products"}, [convolution], "Set layers to `all`"),
        ({**few, "exclude": ["conv"]}, [convolution, lstm], "LSTM"),
    ):
        problem = outcome(step, model=model_facts(layers=layers))
        assert problem is not None
        assert (problem.code, problem.field) == ("nothing_to_quantize", "recipe.steps.0.layers")
        assert told in problem.detail


# --- low_rank


def test_a_model_with_products_may_come_with_data_and_without() -> None:
    assert outcome(LOW_RANK) is None
    assert outcome({**LOW_RANK, "data_aware": True}, data=calibration()) is None
    assert outcome({**LOW_RANK, "exclude": ["/head/*"]}) is None
    assert outcome(LOW_RANK, TUNE, STATIC, data={**calibration(), **training()}) is None
    unknown: ModelFacts = model_facts(layers=[Layer(name="/conv", op="Conv", weight=None, macs=None)])
    assert outcome(LOW_RANK, model=unknown) is None


def test_recurrent_layers_alone_are_nothing_to_factorise() -> None:
    problem = outcome(LOW_RANK, model=RECURRENT)
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_compress", "recipe.steps.0.kind")
    assert "1 × LSTM" in problem.detail


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{**LOW_RANK, "data_aware": True}], ("missing_data", "data.calibration")),
        ([{**LOW_RANK, "exclude": ["/haed/*"]}], ("pattern_matches_nothing", "recipe.steps.0.exclude.0")),
        ([{**LOW_RANK, "exclude": ["*"]}], ("nothing_to_compress", "recipe.steps.0.exclude")),
        ([DYNAMIC, LOW_RANK], ("already_quantized", "recipe.steps.1.kind")),
        ([HALF, LOW_RANK], ("wrong_order", "recipe.steps.1.kind")),
    ],
)
def test_what_cannot_work_is_refused(steps: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    assert refused(*steps) == expected


def test_after_quantizing_it_is_told_to_come_before() -> None:
    problem = outcome(STATIC, LOW_RANK, data=calibration())
    assert problem is not None
    assert "Put it before the step that quantizes" in problem.detail
    assert "quantization_aware_training" not in problem.detail
