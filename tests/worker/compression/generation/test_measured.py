"""Agreement of tokens, and which labels are true ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.compression.generation.measured import agreement, true_tokens

ANSWERS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=5)


@given(ANSWERS, ANSWERS)
def test_agreement_is_a_share_and_whole_with_oneself(one: list[list[int]], other: list[list[int]]) -> None:
    assert agreement(one, one) == 1
    count = min(len(one), len(other))
    assert 0 <= agreement(one[:count], other[:count]) <= 1


def test_a_token_counts_at_its_place_alone() -> None:
    assert agreement([[3, 4, 5, 2]], [[3, 5, 4, 2]]) == 0.5
    assert agreement([[3, 4, 5, 2]], [[3, 4]]) == 0.5
    assert agreement([[3, 4]], [[3, 4, 5, 6]]) == 1.0


@pytest.mark.parametrize(
    ("label", "tokens"),
    [
        (np.array([[5, 6, 2, 0, 0]]), [5, 6, 2]),
        (np.array([[5, 6, -100, -100]]), [5, 6]),
        (np.array([[5, 2, 2]]), [5, 2]),
        (np.array([[0.5]]), []),
        (None, []),
    ],
)
def test_true_tokens_end_with_the_end_and_padding_is_none(
    label: np.ndarray | None, tokens: list[int]
) -> None:
    assert true_tokens(label, 2) == tokens
