"""What a step finds: floats, Q/DQ nodes, half precision, or a student in the upload's place."""

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

BRAIN = {"kind": "bfloat16"}
ZEROS, CUT, RANKS = {"kind": "sparsity"}, {"kind": "channel_pruning"}, {"kind": "low_rank"}
BOTH = {**calibration(), **training()}
QDQ = model_facts(quantized=True, operators={"QuantizeLinear": 3, "DequantizeLinear": 5, "Conv": 1})
INTEGERS = model_facts(quantized=True, operators={"ConvInteger": 1, "DynamicQuantizeLinear": 1})
STUDENT = {**DISTIL, "student": "s"}


@pytest.mark.parametrize(
    ("steps", "expected", "advice"),
    [
        ([TUNE], None, ""),
        ([TUNE, DISTIL, STATIC, QAT, HALF], None, ""),
        ([STATIC, QAT, QAT], None, ""),
        (
            [STATIC, TUNE],
            ("already_quantized", "recipe.steps.1.kind"),
            "quantization_aware_training in its place",
        ),
        ([STATIC, DISTIL], ("already_quantized", "recipe.steps.1.kind"), "before the step that quantizes"),
        ([DYNAMIC, TUNE], ("already_quantized", "recipe.steps.1.kind"), "before the step that quantizes"),
        ([QAT], ("not_quantized", "recipe.steps.0.kind"), "Put int8_static before it"),
        ([TUNE, QAT, STATIC], ("not_quantized", "recipe.steps.1.kind"), "Put int8_static before it"),
        ([DYNAMIC, QAT], ("not_quantized", "recipe.steps.1.kind"), "int8_static in place of that step"),
        ([HALF, TUNE], ("wrong_order", "recipe.steps.1.kind"), "Put finetune before float16"),
        ([STATIC, HALF, QAT], ("wrong_order", "recipe.steps.2.kind"), "before float16"),
        ([TUNE, BRAIN], None, ""),
        ([BRAIN, TUNE], ("wrong_order", "recipe.steps.1.kind"), "Put finetune before bfloat16"),
        ([BRAIN, STATIC], ("wrong_order", "recipe.steps.1.kind"), "or leave bfloat16 out"),
        ([BRAIN, HALF], ("wrong_order", "recipe.steps.1.kind"), "Leave this step out"),
        ([HALF, BRAIN], ("wrong_order", "recipe.steps.1.kind"), "Leave this step out"),
        ([ZEROS, TUNE, RANKS], ("wrong_order", "recipe.steps.2.kind"), "Put sparsity behind it"),
        ([ZEROS, CUT], ("wrong_order", "recipe.steps.1.kind"), "or set repair to false"),
        ([ZEROS, {**CUT, "repair": False}], None, ""),
        ([CUT, RANKS, ZEROS, STATIC], None, ""),
    ],
)
def test_a_step_gets_the_kind_of_graph_that_it_takes(
    steps: list[dict[str, Any]], expected: tuple[str, str] | None, advice: str
) -> None:
    problem = outcome(*steps, data=BOTH)
    assert (problem and (problem.code, problem.field)) == expected
    assert problem is None or advice in problem.detail


def test_a_dynamically_quantized_graph_is_not_told_to_train_through_nodes_it_lacks() -> None:
    problem = outcome(DYNAMIC, TUNE, data=training())
    assert problem is not None
    assert "quantization_aware_training" not in problem.detail


def test_an_upload_is_quantized_in_one_way_or_the_other() -> None:
    assert outcome(QAT, model=QDQ, data=training()) is None
    assert refused(QAT, model=INTEGERS, data=training()) == ("not_quantized", "recipe.steps.0.kind")
    for model, advice in ((QDQ, "or use quantization_aware_training"), (INTEGERS, "Give the float model.")):
        problem = outcome(TUNE, model=model, data=training())
        assert problem is not None
        assert (problem.code, problem.field) == ("already_quantized", "recipe.steps.0.kind")
        assert advice in problem.detail


def test_a_student_begins_anew() -> None:
    float_student = {"s": model_facts()}
    assert outcome(STATIC, STUDENT, STATIC, QAT, data=BOTH, others=float_student) is None
    assert outcome(HALF, STUDENT, data=BOTH, others=float_student) is None
    assert outcome(STUDENT, STATIC, model=QDQ, data=BOTH, others=float_student) is None
    quantized = refused(STUDENT, data=BOTH, others={"s": QDQ})
    assert quantized == ("already_quantized", "recipe.steps.0.student")


def test_patterns_and_outputs_are_those_of_the_student_from_then_on() -> None:
    other = model_facts(
        layers=[
            {"name": name, "op": "Gemm", "weight": [10, 8], "macs": 1} for name in ("/tiny/fc", "/last/fc")
        ],
        outputs=[{"name": name, "dtype": "float32", "shape": ["N", 10]} for name in ("logits", "extra")],
    )
    more: dict[str, Any] = {"data": BOTH, "others": {"s": other}}
    assert outcome({**TUNE, "exclude": ["/head/*"]}, {**STUDENT, "exclude": ["/tiny/*"]}, **more) is None
    assert refused(STUDENT, {**STATIC, "exclude": ["/head/*"]}, **more) == (
        "pattern_matches_nothing",
        "recipe.steps.1.exclude.0",
    )
    assert outcome(STUDENT, {**TUNE, "output": "extra"}, **more) is None
    assert refused({**TUNE, "output": "extra"}, STUDENT, **more) == (
        "unknown_output",
        "recipe.steps.0.output",
    )


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"kind": "mixed_precision", "max_size_ratio": 0.5}, None),
        ({"kind": "int8"}, ("not_quantized", "recipe.steps.1.kind")),
    ],
)
def test_only_what_always_writes_nodes_can_be_trained_through_them(
    step: dict[str, Any], code: tuple[str, str] | None
) -> None:
    problem = outcome(step, QAT, data=BOTH)
    assert (None if problem is None else (problem.code, problem.field)) == code


def test_without_data_nothing_is_repaired_and_zeros_stay() -> None:
    assert outcome({**ZEROS, "criterion": "magnitude"}, {**CUT, "criterion": "l2"}, data={}) is None
