"""Features name values that exist."""

from typing import Any

from tests.support.admission import outcome, training
from tests.support.facts import model_facts

MODEL = model_facts(values=["input", "/features/conv1_output_0", "logits"])


def asked(teacher: str, student: str, *before: dict[str, Any], model: Any = MODEL) -> list[tuple[str, str]]:
    step = {"kind": "distillation", "features": [{"teacher": teacher, "student": student}]}
    problem = outcome(*before, step, model=model, data=training())
    return [] if problem is None else [(error.path, error.detail) for error in problem.errors]


def test_a_wrong_name_is_told_with_the_nearest() -> None:
    right = "/features/conv1_output_0"
    assert asked(right, right) == []
    errors = asked("/features/conv_output_0", "x?")
    assert [path for path, _ in errors] == [f"recipe.steps.0.features.0.{w}" for w in ("teacher", "student")]
    assert repr(right) in errors[0][1]
    assert "'logits'" in errors[1][1]


def test_what_nobody_knows_here_is_left_to_the_worker() -> None:
    """Names behind an earlier step, and those of models that were inspected before names were kept."""
    assert asked("logits", "x?", {"kind": "channel_pruning"}) == []
    assert asked("y?", "x?", model=model_facts()) == []
