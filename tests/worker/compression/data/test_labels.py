"""Labels in any form are class numbers."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from worker.compression.data import labels
from worker.compression.data.labels import class_numbers, is_one_hot, is_whole, mean_classes, one_hot_axes

DTYPES = st.sampled_from(["bool", "uint8", "int64", "float16", "float32", "float64"])


@given(classes=st.lists(st.integers(0, 6), min_size=1, max_size=20), dtype=DTYPES, axis=st.booleans())
def test_one_hot_rows_are_their_class(classes: list[int], dtype: str, axis: bool) -> None:
    """Of any dtype, with or without an axis of length 1; read in parts of any size."""
    rows = np.eye(7, dtype=dtype)[classes]
    rows = rows[:, None] if axis else rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "VALUES_AT_A_TIME", 50)
        assert is_one_hot(rows)
        assert class_numbers(rows).tolist() == classes
        assert class_numbers(rows, one_hot=False).shape == rows.shape


@given(classes=arrays(np.int64, (5, 2, 3), elements=st.integers(0, 3)), dtype=DTYPES)
def test_one_hot_places_are_their_classes_along_axis_1(classes: np.ndarray, dtype: str) -> None:
    """Read in parts of any size; only for an output of that rank, which has classes."""
    places = np.moveaxis(np.eye(4, dtype=dtype)[classes], -1, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "VALUES_AT_A_TIME", 50)
        assert is_one_hot(places)
        assert (class_numbers(places) == classes).all()
    assert mean_classes(places.astype(np.float32), ("N", 4, 2, 3))
    assert mean_classes(classes.astype(np.float32), ("N", 4, 2, 3))
    assert not mean_classes(places.astype(np.float32), ("N", 1, 2, 3))
    assert not mean_classes(places.astype(np.float32) + 0.5, ("N", 4, 2, 3))


@given(
    classes=arrays(np.int64, (5, 2, 3), elements=st.integers(0, 3)),
    dtype=DTYPES,
    axis=st.sampled_from([1, 2, 3, -1]),
)
def test_one_hot_places_are_their_classes_along_whichever_axis(
    classes: np.ndarray, dtype: str, axis: int
) -> None:
    places = np.moveaxis(np.eye(4, dtype=dtype)[classes], -1, axis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "VALUES_AT_A_TIME", 50)
        assert (class_numbers(places, axis=axis) == classes).all()
        assert axis % 4 in one_hot_axes(places)


def test_wide_rows_are_looked_at_a_few_at_a_time() -> None:
    """Copies of all of 64 MiB take less than half of that."""
    places = np.zeros((512, 128, 128, 2), np.float32)
    places[..., 0] = 1
    tracemalloc.start()
    assert is_whole(places)
    assert one_hot_axes(places) == [3]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < places.nbytes / 2


def test_steps_are_one_hot_along_the_axis_of_their_classes_alone() -> None:
    steps = np.eye(3)[[[0, 0, 1, 2], [1, 1, 1, 0]]]
    assert one_hot_axes(steps) == [2]
    assert one_hot_axes(np.eye(3)[[0, 1]]) == []
    assert class_numbers(steps).shape == steps.shape


@given(classes=st.lists(st.integers(-5, 1000), min_size=1), dtype=st.sampled_from(["float32", "float64"]))
def test_whole_floats_are_integers_and_others_stay(classes: list[int], dtype: str) -> None:
    numbers = np.array(classes, dtype)
    assert class_numbers(numbers).dtype == np.int64
    assert class_numbers(numbers).tolist() == classes
    assert class_numbers(numbers + 0.5).dtype == dtype


@pytest.mark.parametrize("rows", [[[1, 1, 0]], [[0, 0, 0]], [[2, 0, 0]], [[0.5, 0.5, 0]]])
def test_what_names_no_class_is_not_one_hot(rows: list[list[float]]) -> None:
    assert not is_one_hot(np.array(rows))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_what_no_integer_holds_is_not_whole(value: float) -> None:
    assert not is_whole(np.array([0.0, value]))


def test_reals_are_numbers_to_learn_where_the_output_has_no_classes() -> None:
    whole = np.array([0.0, 3.0], np.float32)
    assert mean_classes(whole, ("N", 10))
    assert not mean_classes(whole, ("N", 1))
    assert not mean_classes(whole + 0.5, ("N", 10))
    assert not mean_classes(whole, None)
