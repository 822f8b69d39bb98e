"""Laws of the shares, whatever a runtime computes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.compression.measure.arithmetic.kernels import INTEGER, OTHER, Kernel, shares
from worker.compression.measure.arithmetic.words import in_words

PRECISIONS = st.sampled_from([INTEGER, OTHER, "float32", "bfloat16", "float16"])
KERNELS = st.builds(Kernel, st.sampled_from("abc"), PRECISIONS, st.none() | st.integers(0, 10**12))


@given(st.lists(KERNELS, max_size=20))
def test_shares_of_nodes_and_of_work_each_add_up_to_1(kernels: list[Kernel]) -> None:
    """To 1e-9. Work has no shares where some is unknown, is done by what multiplies nothing, or is none."""
    told = shares(kernels)
    assert told.integer_nodes + told.float_nodes + told.other_nodes == pytest.approx(1, abs=1e-9)
    known = all(k.macs is not None and not (k.macs and k.precision == OTHER) for k in kernels)
    if known and any(k.macs for k in kernels):
        assert told.integer_macs is not None
        assert told.float_macs is not None
        assert told.integer_macs + told.float_macs == pytest.approx(1, abs=1e-9)
    else:
        assert (told.integer_macs, told.float_macs) == (None, None)
    assert len([*in_words("It", told, told)]) == 2


def test_the_type_of_floats_with_the_most_work_comes_first() -> None:
    kernels = [
        Kernel("a", "float32", 1),
        Kernel("b", "bfloat16", 5),
        Kernel("c", "float32"),
        Kernel("d", INTEGER, 9),
    ]
    told = shares(kernels)
    assert told.float_types == ["bfloat16", "float32"]
    assert (told.integer_macs, told.float_macs) == (0.6, 0.4)
    assert told.products == {"a": 1, "b": 1, "d": 1}
