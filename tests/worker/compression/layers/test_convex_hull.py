"""The lower convex hull: nothing lies below it, and its slopes rise."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.compression.layers.convex_hull import Point, lower_hull, slope

points = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1)


@given(drawn=points)
def test_its_slopes_rise_and_nothing_lies_below(drawn: list[Point]) -> None:
    hull = lower_hull(drawn, lambda point: point)
    slopes = [slope(a, b) for a, b in pairwise(hull)]
    assert all(a < b for a, b in pairwise(slopes))
    assert (hull[0][0], hull[-1][0]) == (min(x for x, _ in drawn), max(x for x, _ in drawn))
    for x, y in drawn:
        for a, b in pairwise(hull):
            if a[0] <= x <= b[0]:
                assert y >= a[1] + slope(a, b) * (x - a[0]) - 1e-9


def test_a_line_has_two_corners() -> None:
    assert lower_hull([2, 0, 1], lambda x: (x, 2 * x)) == [0, 2]
