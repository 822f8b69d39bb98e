"""The order of a final: sure ones first, then what promises more; by the time where time counts."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.contract.recipe import Recipe
from winnow.contract.requirements import Requirements
from winnow.contract.search import Objective
from worker.compression.measure.timing.fastest import Timed
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.tasks.order import TELLING, Finalist, in_order

RECIPE = Recipe.model_validate({"steps": [{"kind": "int8_static"}]})
ORIGINAL, TIDIED = Timed(2.0, 1.0, (1.0, 1.0)), Timed(2.0, 1.0, (0.99, 1.01))
FAST, FASTER, SLOW = Timed(1.5, 1.3, (1.2, 1.4)), Timed(1.0, 2.0, (1.9, 2.1)), Timed(4.0, 0.5, (0.4, 0.6))


class _Stub:
    """What the choice reads of `Materials`."""

    def __init__(self, **require: float) -> None:
        self.options = Options(require=Requirements.model_validate(require))
        self.progress = Silent()
        self.upload = type("Upload", (), {"size_bytes": 100})


def finalist(number: int, chance: float = 0.9, cost: float | None = 1.0) -> Finalist:
    return Finalist(number, Path(), Path(), RECIPE, chance, cost)


def order(entries: list[Finalist], objective: Objective, **require: float) -> list[int]:
    return [each.number for each in in_order(entries, objective, Mock(), _Stub(**require))]  # type: ignore[arg-type]


def chosen(
    monkeypatch: pytest.MonkeyPatch, objective: Objective, timed: list[Timed], **require: float
) -> int | None:
    entries = [finalist(n, cost=float(n)) for n in range(len(timed) - 2)]
    monkeypatch.setattr("worker.compression.tasks.order._timed", lambda *_: timed)
    numbers = order(entries, objective, **require)
    assert len(numbers) <= 1, "of equally sure ones one is judged"
    return numbers[0] if numbers else None


@pytest.mark.parametrize(
    ("objective", "timed", "require", "number"),
    [
        ("latency", [FAST, FASTER], {}, 1),
        ("size", [FAST, FASTER], {}, 0),
        ("size", [FAST, FASTER], {"min_speedup": 1.5}, 1),
        ("size", [FAST, FASTER], {"max_latency_ms": 1.2}, 1),
        ("size", [FAST, FASTER], {"min_speedup": 9.0}, 0),
        ("latency", [SLOW], {}, None),
        ("latency", [SLOW], {"max_size_ratio": 0.5}, 0),
        ("latency", [SLOW], {"max_size_bytes": 99}, 0),
        ("latency", [SLOW], {"max_size_bytes": 100}, None),
        ("latency", [SLOW, FAST], {}, 1),
        ("size", [SLOW], {}, 0),
    ],
)
def test_the_fastest_is_chosen_or_the_first_that_is_fast_enough(
    monkeypatch: pytest.MonkeyPatch,
    objective: Objective,
    timed: list[Timed],
    require: dict[str, float],
    number: int | None,
) -> None:
    assert chosen(monkeypatch, objective, [ORIGINAL, TIDIED, *timed], **require) == number


def test_where_time_cannot_be_told_the_order_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    untold = [replace(each, untold="others ran") for each in (ORIGINAL, TIDIED, FAST, FASTER)]
    assert chosen(monkeypatch, "latency", untold) == 0


def test_a_tidied_upload_that_is_as_fast_as_the_best_trial_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old files list their weights among the inputs: without them they are several times as fast, at no loss."""
    tidied = Timed(0.6, 3.3, (3.2, 3.4))
    assert chosen(monkeypatch, "latency", [ORIGINAL, tidied, FAST, FASTER]) is None
    assert chosen(monkeypatch, "latency", [ORIGINAL, TIDIED, FAST, FASTER]) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 0.7, 0.9]), st.none() | st.floats(0.1, 10)), min_size=1, max_size=6
    )
)
def test_each_is_less_sure_and_cheaper_than_the_one_before_and_none_that_is_both_is_passed_over(
    made: list[tuple[float, float | None]],
) -> None:
    entries = [finalist(number, *each) for number, each in enumerate(made)]
    numbers = order(entries, "macs")
    costs = [float("inf") if entries[number].cost is None else entries[number].cost for number in numbers]
    chances = [entries[number].chance for number in numbers]
    assert chances[0] == max(chance for chance, _ in made)
    assert all(after < before for before, after in pairwise(chances))
    assert all(after * TELLING < before for before, after in pairwise(costs))
    cheapest = min((cost for _, cost in made if cost is not None), default=float("inf"))
    assert costs[-1] <= cheapest * TELLING or costs[-1] == cheapest


def test_where_speed_is_wanted_most_what_is_less_sure_is_judged_only_if_it_is_faster_beyond_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = [finalist(0, 0.9), finalist(1, 0.7), finalist(2, 0.6)]
    barely = Timed(1.45, 1.31, (1.21, 1.41))
    for bold, numbers in ((FASTER, [0, 2]), (SLOW, [0])):
        timed = [ORIGINAL, TIDIED, FAST, barely, bold]
        monkeypatch.setattr("worker.compression.tasks.order._timed", lambda *_, timed=timed: timed)
        assert order(entries, "latency") == numbers
