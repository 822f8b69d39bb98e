"""Relations compare values of attention whatever their width and their number of heads."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.compression.training.goal.feature_distillation.relations import (
    MAX_RELATION_HEADS,
    log_relations,
    relation_heads,
    relation_loss,
    together,
)

HEADS = st.sampled_from([1, 2, 3, 4, 6, 12, 24])


def values(seed: int, width: int = 24) -> torch.Tensor:
    return torch.randn(2, 5, width, generator=torch.Generator().manual_seed(seed))


def apart(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


@given(seed=st.integers(0, 99), student=HEADS, teacher=HEADS)
def test_equal_values_have_equal_relations_whatever_the_number_of_heads(
    seed: int, student: int, teacher: int
) -> None:
    """To 1e-6."""
    x = values(seed)
    forms = [x, together(apart(x, teacher)), together(apart(x, student).flatten(0, 1), student)]
    for own in forms:
        for others in forms:
            assert float(relation_loss(own, others)) == pytest.approx(0, abs=1e-6)


@given(seed=st.integers(0, 99), heads=HEADS)
def test_values_are_the_same_together_however_their_heads_were_apart(seed: int, heads: int) -> None:
    x = values(seed)
    assert torch.equal(together(apart(x, heads)), x)
    assert torch.equal(together(apart(x, heads).flatten(0, 1), heads), x)


@given(seed=st.integers(0, 99), heads=HEADS)
def test_a_relation_is_a_softmax_over_the_positions(seed: int, heads: int) -> None:
    """To 1e-5."""
    relations = log_relations(values(seed), heads).exp()
    assert relations.shape == (2, heads, 5, 5)
    assert torch.allclose(relations.sum(-1), torch.ones(2, heads, 5), atol=1e-5)


def test_other_values_have_other_relations_also_of_another_width() -> None:
    assert float(relation_loss(values(0), values(1))) > 0.01
    assert float(relation_loss(values(0, 12), values(1, 24))) > 0.01


@given(student=st.integers(1, 2000), teacher=st.integers(1, 2000))
def test_relation_heads_divide_both_widths(student: int, teacher: int) -> None:
    heads = relation_heads(student, teacher)
    assert 1 <= heads <= MAX_RELATION_HEADS
    assert student % heads == teacher % heads == 0


def test_minilms_widths_are_split_into_48() -> None:
    assert relation_heads(384, 768) == 48
