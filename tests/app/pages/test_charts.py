"""What is drawn lies in the picture, in the order of its values, and axes have round numbers."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pages import charts, plots
from app.storage.records import Event
from tests.support.asked import trial
from winnow.contract.recipe import Recipe
from winnow.contract.trial import Trial

values = st.floats(-1e12, 1e12)
points = st.lists(st.tuples(values, values), min_size=1, max_size=20)


@given(points, st.sampled_from([10, 1024]))
def test_points_and_ticks_lie_in_the_plot(points: list[tuple[float, float]], base: int) -> None:
    plot = charts.plot(points, "x", "y", x_base=base)
    for x, y in points:
        assert charts.LEFT <= plot.x.place(x) <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= plot.y.place(y) <= charts.HEIGHT - charts.BOTTOM
    for axis in (plot.x, plot.y):
        low, high = sorted((axis.start, axis.end))
        assert all(low - 0.1 <= tick.at <= high + 0.1 for tick in axis.ticks)
        assert len(axis.ticks) <= 2 * charts.TICKS


@given(points)
def test_larger_is_further_right_and_higher(points: list[tuple[float, float]]) -> None:
    plot = charts.plot(points, "x", "y")
    xs, ys = [sorted(x for x, _ in points), sorted(y for _, y in points)]
    assert [plot.x.place(x) for x in xs] == sorted(plot.x.place(x) for x in xs)
    assert [plot.y.place(y) for y in ys] == sorted((plot.y.place(y) for y in ys), reverse=True)


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=20))
def test_bars_begin_at_zero_and_their_intervals_lie_in_the_picture(rows: list[tuple[float, ...]]) -> None:
    drawn = charts.bars(
        [("a", value, (min(low, value), max(high, value)), "", "front") for value, low, high in rows],
        "x",
        str,
    )
    for (value, *_), bar in zip(rows, drawn.bars, strict=True):
        assert (bar.end >= drawn.zero) == (value >= 0) or bar.end == drawn.zero
        assert bar.low is not None
        assert bar.high is not None
        assert 0 <= bar.low <= bar.end <= bar.high <= drawn.width


@pytest.mark.parametrize(
    ("low", "high", "base", "texts"),
    [
        (0.0, 1.0, 10, ["0", "0.25", "0.5", "0.75", "1"]),
        (0, 4096, 1024, ["0", "1024", "2048", "3072", "4096"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, base: int, texts: list[str]) -> None:
    drawn = charts.bars([("a", high, None, "", "front")], "x", "{:g}".format, base)
    assert [tick.text for tick in drawn.axis.ticks] == texts


def finished(number: int, **changes: object) -> Trial:
    metric = {"before": 0.9, "after": 0.8, "drop": 0.1, "interval": None}
    made = {"number": number, "state": "finished", "size_bytes": 1000 + number, "metrics": {"top1": metric}}
    return trial(**made | changes)


def test_trials_are_drawn_by_what_was_measured() -> None:
    speed = {"value": 2.0, "interval": None}
    assert [len(it.points) for it in plots.scatter([finished(0), finished(1, speedup=speed)], None)] == [2, 1]
    [only] = plots.scatter([finished(0, metrics={}, speedup=speed)], None)
    assert only.plot.y.name == "times as fast"
    assert plots.scatter([finished(0, metrics={}, speedup=None)], None) == []
    assert plots.scatter([finished(0, state="failed")], None) == []


def test_a_number_that_is_none_is_left_out() -> None:
    broken = {"before": 0.9, "after": math.nan, "drop": math.nan, "interval": None}
    assert plots.scatter([finished(0, metrics={"top1": broken}, speedup=None)], None) == []


def test_the_result_and_what_misses_are_told_apart() -> None:
    tried = [finished(0), finished(1, meets=False), finished(2, pareto=True), finished(3)]
    [drawn] = plots.scatter(tried, chosen=3)
    assert [point.tone for point in drawn.points] == ["other", "missed", "front", "chosen"]


def lost(step: int, attempt: int = 1, **values: object) -> Event:
    return Event(
        job="job_x", attempt=attempt, time=0.0, type="log", message="", values={"step": step, **values}
    )


@pytest.mark.parametrize(
    ("step", "trains"),
    [
        ({"kind": "finetune"}, True),
        ({"kind": "depth_pruning", "rounds": 2, "recovery": {"kind": "finetune"}}, True),
        ({"kind": "channel_pruning"}, False),
        ({"kind": "int8"}, False),
    ],
)
def test_losses_are_looked_for_where_something_is_trained(step: dict[str, Any], trains: bool) -> None:
    (read,) = Recipe.model_validate({"steps": [step]}).steps
    assert plots.trains(read) == trains


def test_an_attempt_that_goes_on_within_a_training_continues_its_curve() -> None:
    """What it does again counts once, and the training before, which it does not do again, stays."""
    events = [
        *(lost(step, loss=1.0 / step) for step in (1, 5, 9)),
        *(lost(step, loss=2.0 / step) for step in (1, 3, 6, 7)),
        *(lost(step, 2, loss=3.0 / step) for step in (6, 8)),
    ]
    drawn = plots.training(events)
    assert drawn is not None
    ((_, line),) = drawn.lines
    xs = [float(point.split(",")[0]) for point in line.split()]
    assert xs == [drawn.plot.x.place(x) for x in (1, 5, 9, 10, 12, 15, 17, 17)], "the last point stands twice"


def test_a_training_that_another_attempt_begins_leaves_the_one_before_it() -> None:
    """The worker died between two trainings; or all is done again, from the first one on."""
    first = [replace(lost(step, loss=1.0), step="distillation") for step in (1, 5)]
    second = [replace(lost(step, 2, loss=1.0), step="finetune") for step in (1, 3)]
    again = [replace(lost(step, 3, loss=1.0), step="distillation") for step in (1, 2)]
    for events, places in (([*first, *second], (1, 5, 6, 8)), ([*first, *second, *again], (1, 2))):
        drawn = plots.training(events)
        assert drawn is not None
        xs = [float(point.split(",")[0]) for point in drawn.lines[0][1].split()]
        assert [*dict.fromkeys(xs)] == [drawn.plot.x.place(x) for x in places]


def test_trainings_stand_behind_each_other_and_earlier_attempts_do_not_count() -> None:
    events = [
        lost(5, loss=9.0),
        lost(1, 2, loss=3.0),
        lost(9, 2, loss=1.0),
        lost(1, 2, loss=2.0, validation_loss=2.5),
    ]
    drawn = plots.training(events)
    assert drawn is not None
    assert [name for name, _ in drawn.lines] == ["training loss", "validation loss"]
    xs = [float(point.split(",")[0]) for point in drawn.lines[0][1].split()]
    assert xs == sorted(xs)
    assert len(set(xs)) == 3
    assert plots.training([lost(1, loss=3.0)]) is None
    assert plots.training([lost(1, loss="x"), lost(2, loss=math.inf)]) is None
