"""8 bits need layers that have integer kernels, some of them calibration data."""

import pytest

from tests.support.admission import calibration, outcome, refused
from tests.support.facts import model_facts
from winnow.contract.model import Layer

CONVOLUTIONS = model_facts(
    layers=[Layer(name=f"/c{i}", op="Conv", weight=[8, 3, 3, 3], macs=1) for i in range(52)]
)
GRU = model_facts(layers=[Layer(name="/gru", op="GRU", weight=[1, 9, 3], macs=1)])


def test_int8_without_data_says_that_data_is_missing() -> None:
    problem = outcome({"kind": "int8"}, model=CONVOLUTIONS)
    assert problem is not None
    assert (problem.code, problem.field) == ("missing_data", "data.calibration")
    assert "52 × Conv" in problem.detail
    assert outcome({"kind": "int8"}, model=CONVOLUTIONS, data=calibration()) is None
    assert outcome({"kind": "int8"}) is None


@pytest.mark.parametrize("kind", ["int8", "int8_static", "int8_dynamic"])
def test_a_model_without_an_eligible_layer_has_nothing_to_quantize(kind: str) -> None:
    assert refused({"kind": kind}, model=GRU, data=calibration()) == (
        "nothing_to_quantize",
        "recipe.steps.0.kind",
    )


def test_what_may_be_rewritten_is_left_to_the_worker() -> None:
    attention = model_facts(layers=[Layer(name="/a", op="Attention", weight=[8, 24], macs=1)])
    assert outcome({"kind": "int8"}, model=attention) is None
