"""Which pairs may leave 16 bits: against all that two bytes can do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from worker.compression.measure.robustness.without_vnni.pairs import exposed_pairs, in_seven_bits

EXTREMES = np.array([(a, b) for a in (0, 255) for b in (0, 255)])


@given(arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.integers(-128, 127)))
def test_a_pair_is_exposed_where_some_data_leaves_16_bits(matrix: np.ndarray) -> None:
    wide = np.pad(matrix.astype(np.int64), [(0, 0), (0, matrix.shape[1] % 2)])
    expected = {}
    for row, weights in enumerate(wide):
        for place in range(0, wide.shape[1], 2):
            sums = EXTREMES @ weights[place : place + 2]
            if sums.max() > 32767 or sums.min() < -32768:
                expected[row, place] = weights[place : place + 2].tolist()
    pairs = exposed_pairs(matrix)
    seen = {}
    for row, place in np.ndindex(pairs.places.shape[:2]) if pairs is not None else ():
        assert pairs is not None
        if pairs.numbers[row, place].any():
            seen[row, int(pairs.places[row, place, 0])] = pairs.numbers[row, place].tolist()
    assert seen == expected
    assert (0 if pairs is None else pairs.count) == len(expected)


@given(arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.integers(-127, 127)))
def test_nothing_is_exposed_in_seven_bits(matrix: np.ndarray) -> None:
    assert exposed_pairs(in_seven_bits(matrix)) is None
