"""A width leaves whole channels of every group."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.refusals import refusal
from winnow.contract.dividing import check_width


@given(sizes=st.lists(st.integers(1, 64), min_size=1, max_size=5), part=st.integers(1, 16))
def test_a_share_of_the_common_divisor_always_divides(sizes: list[int], part: int) -> None:
    groups = [(f"g{size}", 16 * size) for size in sizes]
    assert refusal(lambda: check_width(part / 16, groups, "width")) is None


def test_what_does_not_divide_is_told_with_widths_that_do() -> None:
    problem = refusal(lambda: check_width(0.7, [("conv1", 16), ("conv2", 64)], "width"))
    assert problem is not None
    assert (problem.code, problem.field) == ("does_not_divide", "width")
    assert "11.2 of the 16 channels of conv1" in problem.detail
    assert "0.6875, 0.75" in problem.detail


def test_a_third_need_not_be_written_to_its_end() -> None:
    assert refusal(lambda: check_width(0.3333, [("a", 384)], "width")) is None
