"""What should agree is found from the blocks of both networks."""

import pytest

from tests.support.refusals import refusal
from tests.support.small_nets import model
from tests.support.small_transformer import small_transformer
from worker.compression.training.goal.feature_distillation import auto_features as module
from worker.compression.training.goal.feature_distillation.auto_features import auto_features
from worker.compression.training.goal.feature_distillation.features import Feature


def test_every_second_layer_of_a_teacher_is_learned_from_and_the_last_attention() -> None:
    pairs = auto_features(small_transformer(2, width=4), small_transformer(4, heads=4))
    assert pairs == (
        Feature("fed1", "fed0", 0.5, "relative_error"),
        Feature("fed3", "fed1", 0.5, "relative_error"),
        Feature("v3", "v1", 1.0, "relations"),
    )


def test_no_more_pairs_than_can_be_held_are_made_the_last_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STATES", 2)
    pairs = auto_features(small_transformer(4), small_transformer(4))
    assert [pair.student for pair in pairs] == ["fed1", "fed3", "v3"]


def test_where_nothing_can_be_paired_it_says_what_was_looked_for() -> None:
    plain = model("(float[N,4] x) => (float[N,4] y) { y = Tanh (x) }")
    problem = refusal(lambda: auto_features(plain, small_transformer(2)))
    assert problem is not None
    assert problem.code == "teacher_does_not_fit"
    assert "the student has 0, the teacher 2" in problem.detail
