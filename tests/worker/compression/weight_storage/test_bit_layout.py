"""Numbers of few bits survive being packed, in any number of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from worker.compression.weight_storage.bit_layout import (
    pack_bits,
    pairs_to_planes,
    planes_to_pairs,
    unpack_bits,
)

SEEDS = st.integers(0, 1000)


def numbers(bits: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << bits, shape, np.uint8)


@given(bits=st.sampled_from([2, 4, 8]), rows=st.integers(1, 5), count=st.integers(1, 70), seed=SEEDS)
def test_packed_bytes_hold_all_numbers(bits: int, rows: int, count: int, seed: int) -> None:
    codes = numbers(bits, (rows, count), seed)
    stored = pack_bits(codes, bits)
    assert stored.shape == (rows, -(-count * bits // 8))
    assert_array_equal(unpack_bits(stored, bits, count), codes)


@given(bits=st.sampled_from([2, 3]), count=st.integers(1, 200), seed=SEEDS)
def test_planes_hold_all_numbers_in_as_many_bits(bits: int, count: int, seed: int) -> None:
    codes = numbers(bits, (count,), seed)
    bytes_of_pairs = pack_bits(codes, 4)
    stored = pairs_to_planes(bytes_of_pairs, bits)
    assert stored.size <= -(-count * bits // 8) + 3
    assert_array_equal(unpack_bits(planes_to_pairs(stored, bits, bytes_of_pairs.size), 4, count), codes)
