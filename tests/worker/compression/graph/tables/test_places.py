"""What counts places is told from words."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.compression.graph.tables.places import Numbers, counts_places

SIZES = st.tuples(st.integers(1, 5), st.integers(2, 12))


@given(
    sizes=SIZES,
    start=st.integers(0, 3),
    padding=st.integers(0, 4),
    axes=st.sampled_from([(), (1,)]),
    data=st.data(),
)
def test_positions_count_places_wherever_they_begin_and_end(
    sizes: tuple[int, int], start: int, padding: int, axes: tuple[int, ...], data: st.DataObject
) -> None:
    n, length = sizes
    rows = np.tile(np.arange(start, start + length + padding), (n, 1))
    if length > 2:
        rows[:, length:] = data.draw(st.integers(0, 1))
    assert counts_places(rows.reshape(n, *axes, -1))


@given(sizes=SIZES, turn=st.integers(0, 12))
def test_segments_count_places(sizes: tuple[int, int], turn: int) -> None:
    n, length = sizes
    assert counts_places(np.tile(np.arange(length) >= turn, (n, 1)).astype(np.int64))


@pytest.mark.parametrize("x", [[[101, 2023, 102]], [[0, 1, 2], [0, 5, 9]], [[7], [9]], [[3, 2, 1, 0]]])
def test_words_and_rows_of_one_number_do_not(x: Any) -> None:
    assert not counts_places(np.array(x))


def seen(name: str, *batches: Any) -> bool:
    numbers = Numbers(name)
    for batch in batches:
        numbers.add(np.array(batch))
    return numbers.count_places


@given(
    lengths=st.lists(st.integers(2, 9), min_size=1, max_size=5),
    start=st.integers(0, 6),
    size=st.integers(1, 12),
    axes=st.sampled_from([(), (1,), (1, 1)]),
)
def test_single_steps_of_a_decoder_count_places_sequence_after_sequence(
    lengths: list[int], start: int, size: int, axes: tuple[int, ...]
) -> None:
    """However they are batched."""
    steps = np.concatenate([np.arange(start, start + length) for length in lengths])
    batches = [steps[at : at + size].reshape(-1, *axes) for at in range(0, len(steps), size)]
    assert seen("third", *batches)


def test_single_steps_in_any_order_are_told_by_the_inputs_name() -> None:
    steps = [[4], [0], [7], [2]]
    assert [seen(name, steps) for name in ("position_ids", "cache_position", "input_ids")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "x", [[[7], [9], [8]], [[9], [8], [7]], [[5], [4], [5], [3]], [[7]], np.zeros((2, 0))]
)
def test_single_words_count_no_places(x: Any) -> None:
    assert not seen("ids", x)


def test_a_row_of_one_number_among_longer_ones_says_nothing() -> None:
    assert seen("ids", [[0, 1, 2]], [[0]], [[0, 1]])
    assert not seen("position_ids", [[0, 5, 2]], [[0]])
