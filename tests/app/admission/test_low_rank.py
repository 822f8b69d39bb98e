"""`low_rank` is refused where there is nothing that it could factorise."""

from typing import Any

import pytest

from tests.support.admission import DYNAMIC, HALF, STATIC, TUNE, calibration, outcome, refused, training
from tests.support.facts import model_facts
from winnow.contract.model import Layer, ModelFacts

LOW_RANK = {"kind": "low_rank"}
RECURRENT = model_facts(layers=[Layer(name="/rnn", op="LSTM", weight=[1, 64, 16], macs=None)])


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
