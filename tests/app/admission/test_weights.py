"""`weight_only` at POST: what it needs, and models without anything for it."""

from typing import Any

import pytest

from tests.support.admission import DYNAMIC, STATIC, calibration, outcome, refused
from tests.support.facts import model_facts
from winnow.contract.model import Layer

STEP = {"kind": "weight_only"}
RECURRENT = model_facts(layers=[Layer(name="lstm", op="LSTM", weight=[1, 16, 8], macs=None)])
IMAGES = model_facts(layers=[Layer(name="conv", op="Conv", weight=[8, 3, 3, 3], macs=None)])


@pytest.mark.parametrize("settings", [{}, {"bits": 3, "block": 0}, {"layers": "products"}, {"method": "rtn"}])
def test_a_model_with_products_may_come_without_data(settings: dict[str, Any]) -> None:
    assert outcome({**STEP, **settings}) is None


def test_gptq_needs_calibration_data() -> None:
    gptq = {**STEP, "method": "gptq"}
    assert refused(gptq) == ("missing_data", "data.calibration")
    assert outcome(gptq, data=calibration()) is None


def test_a_model_without_such_layers_is_refused_naming_what_it_has() -> None:
    problem = outcome(STEP, model=RECURRENT)
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_quantize", "recipe.steps.0.kind")
    assert "1 × LSTM" in problem.detail


def test_products_alone_of_a_convolutional_model_are_refused_with_the_way_out() -> None:
    problem = outcome({**STEP, "layers": "products"}, model=IMAGES)
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_quantize", "recipe.steps.0.layers")
    assert "`all`" in problem.detail


@pytest.mark.parametrize("other", [STATIC, DYNAMIC, STEP])
def test_weights_are_quantized_once(other: dict[str, Any]) -> None:
    assert refused(STEP, other, data=calibration()) == ("already_quantized", "recipe.steps.1.kind")
    assert refused(STEP, model=model_facts(quantized=True)) == ("already_quantized", "recipe.steps.0.kind")


@pytest.mark.parametrize("block", [1, 8, 24, 8192])
def test_blocks_are_what_runtimes_read(block: int) -> None:
    with pytest.raises(ValueError, match="block"):
        outcome({**STEP, "block": block})
