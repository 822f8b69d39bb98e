"""The kernels of `MatMulNBits`: accuracy level 0 is exact, 4 rounds where there is a kernel."""

import pytest

from worker.compression.measure.arithmetic.nbits_products import computes_in_integers


@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_by_itself_it_multiplies_floats(bits: int, zero_points: bool) -> None:
    assert not computes_in_integers(bits, 32, 0, zero_points)


def test_with_the_level_that_we_write_4_bits_are_multiplied_as_integers() -> None:
    """On x86 with AVX2 and later, and on Arm with dot products."""
    assert computes_in_integers(4, 32, 4, True)
