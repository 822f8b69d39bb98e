"""What should agree is found from the blocks of both networks."""

import numpy as np
import pytest

from tests.support.refusals import refusal
from tests.support.small_nets import model
from tests.support.small_transformer import folded_attention, small_transformer
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


def test_heads_that_are_folded_into_the_samples_are_counted_on_both_sides() -> None:
    *_, pair = auto_features(folded_attention(2, 8), folded_attention(4, 16))
    assert pair == Feature("values", "values", 1.0, "relations", (2, 4))


def test_places_of_an_image_are_no_heads() -> None:
    """A non-local block (Wang et al. 2018): [N, C, H · W] is turned to [N, H · W, C], and H · W is twice C."""
    text = """(float[N,2,2,2] x) => (float[N,4,2] y) {
        rows = Reshape (x, flat)
        values = Transpose <perm = [0, 2, 1]> (rows)
        scores = MatMul (values, rows)
        shares = Softmax <axis = -1> (scores)
        y = MatMul (shares, values)
    }"""
    block = model(text, {"flat": np.array([0, 2, -1])})
    *_, pair = auto_features(block, block)
    assert pair == Feature("values", "values", 1.0, "relations", (1, 1))


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
