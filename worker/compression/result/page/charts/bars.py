"""Bars: one quantity before and after, or one number for each of many names."""

from collections.abc import Callable, Sequence
from typing import Final

from winnow.contract.base import Interval
from worker.compression.result.page.marks import Drawing, Line, Mark, Rect, Words, scale, shortened

WIDTH: Final = 340.0
ROOM: Final = 112.0
"""Beside the bars, for their numbers."""


def before_and_after(
    label: str,
    before: float,
    after: float,
    show: Callable[[float], str],
    intervals: tuple[Interval | None, Interval | None] = (None, None),
) -> Drawing:
    """Two bars from zero, with the 95 % intervals that are known."""
    most = max(before, after, *(bound for interval in intervals if interval for bound in interval))
    place = scale(0, most, 48, WIDTH - ROOM)
    marks: list[Mark] = []
    rows = (("before", before, intervals[0]), ("after", after, intervals[1]))
    for index, (kind, value, interval) in enumerate(rows):
        y = 4.0 + 24 * index
        marks.append(Words(0, y + 13, kind, "soft"))
        marks.append(Rect(48, y, max(0.8, place(value) - 48), 17, kind))
        if interval is not None:
            marks += _whisker(place(interval[0]), place(interval[1]), y + 8.5)
        end = max(place(value), place(interval[1]) if interval else 0)
        marks.append(Words(end + 6, y + 13, show(value)))
    return Drawing(WIDTH, 50, f"{label}: {show(before)} before, {show(after)} after", marks)


def _whisker(low: float, high: float, y: float) -> list[Mark]:
    return [
        Line(low, y, high, y, "whisker"),
        Line(low, y - 4, low, y + 4, "whisker"),
        Line(high, y - 4, high, y + 4, "whisker"),
    ]


def named_bars(
    label: str,
    rows: Sequence[tuple[str, float, str]],
    show: Callable[[float], str],
    *,
    width: float = WIDTH,
) -> Drawing:
    """One bar for each (name, value, kind), to the left where it is negative; the name stands above it."""
    low = min(0.0, *(value for _, value, _ in rows))
    high = max(0.0, *(value for _, value, _ in rows))
    place = scale(low, high, 4, width - 72)
    zero, marks = place(0), list[Mark]()
    for index, (name, value, kind) in enumerate(rows):
        y = 30.0 * index
        start, end = sorted((zero, place(value)))
        marks.append(Words(4, y + 11, shortened(name), "soft"))
        marks.append(Rect(start, y + 14, max(0.8, end - start), 10, kind, f"{name}: {show(value)}"))
        marks.append(Words(max(end, zero) + 5, y + 23, show(value)))
    marks.append(Line(zero, 0, zero, 30.0 * len(rows), "axis"))
    return Drawing(width, 30.0 * len(rows) + 2, label, marks)
