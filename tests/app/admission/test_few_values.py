"""palette and binary among other steps, and whether there is a layer for them."""

from typing import Any

import pytest

from tests.support.admission import DISTIL, HALF, QAT, STATIC, TUNE, calibration, outcome, training
from tests.support.facts import model_facts
from winnow.contract.model import Layer

PALETTE: dict[str, Any] = {"kind": "palette"}
BINARY: dict[str, Any] = {"kind": "binary"}
SPARSE = {"kind": "sparsity", "criterion": "magnitude"}
BOTH = {**calibration(), **training()}


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
