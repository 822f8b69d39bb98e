from pathlib import Path

import numpy as np
import pytest

from tests.support.facts import tensor
from winnow.contract.errors import Refusal
from worker.compression.data.source import ChosenRows, Source


def test_each_model_takes_from_the_map_what_it_has_an_input_for() -> None:
    source = Source(Path("d.npz"), slice=(0, 9), map={"input": "image", "x": "image"})
    teacher = source.for_inputs([tensor("x", "N", 3), tensor("y", "N", 3)])
    assert (teacher.path, teacher.slice, teacher.map) == (Path("d.npz"), (0, 9), {"x": "image"})


def chosen(*rows: int) -> Source:
    return Source(Path("d.npz"), chosen=ChosenRows.where(np.isin(np.arange(20), rows)))


def test_chosen_rows_are_read_in_whole_batches() -> None:
    assert list(chosen(1, 4, 19).rows(range(20), 1)) == [1, 4, 19]
    assert list(chosen(1, 4, 19).rows(range(20), 2)) == [1, 4]
    with pytest.raises(Refusal, match="3 rows are no whole batch of 4"):
        chosen(1, 4, 19).rows(range(20), 4)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        (chosen(1, 4), chosen(4, 5), True),
        (chosen(1, 4), chosen(2, 5), False),
        (chosen(1, 4), Source(Path(), slice=(4, 9)), True),
        (chosen(1, 4), Source(Path(), slice=(5, 9)), False),
        (chosen(1, 4), Source(Path()), True),
        (Source(Path(), slice=(0, 5)), Source(Path(), slice=(4, 9)), True),
        (Source(Path(), slice=(0, 5)), Source(Path(), slice=(5, 9)), False),
    ],
)
def test_rows_in_common_are_seen(one: Source, other: Source, share: bool) -> None:
    assert one.shares_rows(other) is share
    assert other.shares_rows(one) is share
