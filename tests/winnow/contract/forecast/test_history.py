"""What finished jobs tell of others: the law of a cost a + b · work, without knowing a and b."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.contract.forecast.history import NOISE, Past, expected, largest, summed

AMOUNTS = st.lists(st.floats(0, 1e12), min_size=1, max_size=30)
PARTS = st.floats(0, 1e3)


def test_nothing_is_told_without_history() -> None:
    assert expected(1.0, []) is None


def test_the_same_work_takes_as_long_but_for_noise() -> None:
    assert expected(100.0, [Past(100.0, 8.0)]) == (8.0 / NOISE, 8.0 * NOISE)


def test_twice_the_work_takes_as_long_to_twice_as_long() -> None:
    told = expected(1999.0, [Past(999.0, 8.0)])
    assert told == pytest.approx((8.0 / NOISE, 16.0 * NOISE))


@given(AMOUNTS, st.floats(0, 1e12), PARTS, st.floats(0, 1e-6))
def test_a_cost_that_is_a_constant_and_a_share_lies_in_the_range(
    amounts: list[float], amount: float, fixed: float, each: float
) -> None:
    told = expected(amount, [Past(past, fixed + each * (past + 1)) for past in amounts])
    assert told is not None
    assert told[0] <= fixed + each * (amount + 1) <= told[1]


def test_more_history_makes_the_range_no_wider() -> None:
    one, two = [Past(10.0, 3.0)], [Past(10.0, 3.0), Past(1000.0, 5.0)]
    told, better = expected(100.0, one), expected(100.0, two)
    assert told is not None
    assert better is not None
    assert told[0] <= better[0] <= better[1] <= told[1]


def test_machines_of_different_speed_make_it_wide() -> None:
    told = expected(10.0, [Past(10.0, 3.0), Past(10.0, 9.0)])
    assert told == (3.0 / NOISE, 9.0 * NOISE)


def test_the_whole_is_told_only_where_each_part_is() -> None:
    assert summed([(1.0, 2.0), (3.0, 5.0)]) == (4.0, 7.0)
    assert largest([(1.0, 6.0), (3.0, 5.0)]) == (3.0, 6.0)
    assert summed([(1.0, 2.0), None]) is None
    assert largest([None, (1.0, 2.0)]) is None
    assert largest([]) is None
