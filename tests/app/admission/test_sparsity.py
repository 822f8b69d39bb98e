"""Whether zeros can be made in the layers that there are, told from the layer table."""

from typing import Any

import pytest

from tests.support.admission import QAT, STATIC, TUNE, calibration, outcome, refused, training
from tests.support.facts import model_facts
from winnow.contract.model import Layer

SPARSE: dict[str, Any] = {"kind": "sparsity", "criterion": "magnitude"}
HALF = {"kind": "float16"}


def facts(**layers: tuple[str, list[int]]) -> Any:
    return model_facts(layers=[Layer(name=n, op=op, weight=w, macs=1) for n, (op, w) in layers.items()])


def test_magnitude_needs_no_data_and_the_others_calibration() -> None:
    assert outcome(SPARSE) is None
    for criterion in ("wanda", "taylor", "hessian"):
        step = {"kind": "sparsity", "criterion": criterion}
        assert refused(step) == ("missing_data", "data.calibration")
        assert outcome(step, data=calibration()) is None
    assert refused({**SPARSE, "distribution": "sensitivity"}) == ("missing_data", "data.calibration")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"layers": ["/head/*"]}, None, None),
        ({"layers": ["/tail/*"]}, "pattern_matches_nothing", "layers.0"),
        ({"exclude": ["/tail/*"]}, "pattern_matches_nothing", "exclude.0"),
        ({"exclude": ["*"]}, "nothing_to_compress", "exclude"),
        ({"layers": ["/head/*"], "exclude": ["/head/fc"]}, "nothing_to_compress", "structure"),
        ({"structure": "2:4"}, None, None),  # the convolution has 3 inputs, the Gemm 8 on one side
        ({"structure": "2:4", "layers": ["/features/conv1"]}, "does_not_divide", "layers.0"),
        ({"structure": "2:4", "layers": ["/features/*"]}, "nothing_to_compress", "structure"),
        ({"structure": "3:7"}, "nothing_to_compress", "structure"),
        ({"structure": "block", "block": [1, 3], "layers": ["/features/conv1"]}, None, None),
        (
            {"structure": "block", "block": [3, 1], "layers": ["/features/conv1"]},
            "does_not_divide",
            "layers.0",
        ),
    ],
)
def test_layers_and_sizes_are_checked(changes: dict[str, Any], code: str | None, field: str | None) -> None:
    problem = outcome({**SPARSE, **changes})
    found = None if problem is None else (problem.code, problem.field)
    assert found == (None if code is None else (code, f"recipe.steps.0.{field}"))


def test_a_refusal_names_the_layer_and_its_sizes() -> None:
    problem = outcome({**SPARSE, "structure": "2:4", "layers": ["/features/conv1"]})
    assert problem is not None
    assert problem.layer == "/features/conv1"
    assert "[8, 3, 3, 3]" in problem.detail
    assert "3 inputs" in problem.detail


def test_a_layer_that_is_no_product_is_refused_by_name() -> None:
    model = facts(rnn=("LSTM", [1, 16, 8]), out=("MatMul", [8, 4]))
    problem = outcome({**SPARSE, "layers": ["rnn"]}, model=model)
    assert problem is not None
    assert (problem.code, problem.layer) == ("nothing_to_compress", "rnn")
    assert "LSTM" in problem.detail


def test_a_matmul_has_its_inputs_first() -> None:
    model = facts(product=("MatMul", [6, 8]))
    step = {**SPARSE, "structure": "2:4", "layers": ["product"]}
    assert outcome(step, model=model).code == "does_not_divide"  # type: ignore[union-attr]
    assert outcome(step, model=facts(product=("MatMul", [8, 6]))) is None


def test_sizes_that_a_step_before_changes_are_left_to_the_worker() -> None:
    cut = {"kind": "channel_pruning"}
    named = {**SPARSE, "structure": "2:4", "layers": ["/features/conv1"]}
    assert outcome(cut, named) is None


@pytest.mark.parametrize("before", [STATIC, HALF])
def test_zeros_come_before_numbers_of_fewer_bits(before: dict[str, Any]) -> None:
    problem = outcome(before, SPARSE, data=calibration())
    assert problem is not None
    assert problem.code == ("already_quantized" if before is STATIC else "wrong_order")
    assert "trains" not in problem.detail


def test_gradual_zeros_need_a_layer_that_fits() -> None:
    assert outcome({**TUNE, "gradual": {"structure": "2:4"}}, data=training()) is None
    step = {**TUNE, "gradual": {"structure": "3:7"}}
    assert refused(step, data=training()) == ("nothing_to_compress", "recipe.steps.0.gradual.structure")


@pytest.mark.parametrize(
    "step",
    [
        {**SPARSE, "criterion": "guess"},
        {**SPARSE, "sparsity": 1.0},
        {**SPARSE, "structure": "4:2"},
        {**SPARSE, "structure": "2:4", "sparsity": 0.3},
        {**SPARSE, "structure": "2:4", "distribution": "erdos_renyi"},
        {**SPARSE, "structure": "block", "block": [0, 4]},
        {**QAT, "gradual": {}},
    ],
)
def test_what_means_nothing_is_no_recipe(step: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        outcome(step, data=training())
