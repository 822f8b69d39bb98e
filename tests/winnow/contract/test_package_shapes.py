"""Sizes of a package of which nothing is said."""

import pytest

from tests.support.facts import tensor
from winnow.contract.job import Benchmark
from winnow.contract.package_shapes import USUAL, usual_shapes


def test_each_name_is_usually_long_the_batch_is_1_and_sums_are_sums() -> None:
    inputs = [
        tensor("ids", "batch", "_d__length"),
        tensor("mask", "batch", "_d__past + _d__length"),
        tensor("past", "batch", 4, "_d__past + 1", None),
        tensor("odd", "batch", "floor(_d__past/2)"),
        tensor("fixed", "batch", 7),
    ]
    shapes = usual_shapes(Benchmark(), inputs).shapes
    assert shapes == {
        "ids": [1, USUAL],
        "mask": [1, 2 * USUAL],
        "past": [1, 4, USUAL + 1, USUAL],
        "odd": [1, USUAL],
    }


def test_what_is_said_stands() -> None:
    given = Benchmark(shapes={"ids": [1, 3]})
    assert usual_shapes(given, [tensor("ids", "batch", "s")]).shapes == {"ids": [1, 3]}


@pytest.mark.parametrize("size", ["长度", "²", "0", "0 + 0", "", "+", f"{'9' * 5000} + a", "a - 1", "1_dim"])
def test_a_size_that_is_no_sum_of_names_is_usually_long(size: str) -> None:
    assert usual_shapes(Benchmark(), [tensor("x", "batch", size)]).shapes == {"x": [1, USUAL]}
