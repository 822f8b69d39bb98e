"""Numbers to places in a picture; `charts.html` draws them as SVG, coloured by the style sheet alone.

place = low end + (value − lowest) / (highest − lowest) · length
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 420
HEIGHT: Final = 260
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 30, 44
"""Room around what is plotted, for numbers and names of the axes."""
STEPS: Final = (1, 2, 2.5, 5, 10)
TICKS: Final = 4
ROW: Final = 34
MOST_POINTS: Final = 400
"""Of one line."""

ALIKE: Final = 1e-12
"""Values that differ by a smaller share of the largest are drawn at one place."""
SMALLEST: Final = 1e-100

Written = Callable[[float], str]


@dataclass(frozen=True)
class Tick:
    """`at` is its place in the picture, `text` what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """One direction of a plot: values from `low` to `high` between the places `start` and `end`."""

    name: str
    low: float
    high: float
    start: float
    end: float
    ticks: list[Tick]

    def place(self, value: float) -> float:
        return round(_place(value, self.low, self.high, self.start, self.end), 1)


@dataclass(frozen=True)
class Plot:
    """What points and lines are drawn into."""

    x: Axis
    y: Axis
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Bar:
    """A value of a named thing, with its interval where there is one; in places along `Bars.axis`."""

    name: str
    text: str
    end: float
    low: float | None
    high: float | None
    top: int
    tone: str


@dataclass(frozen=True)
class Bars:
    axis: Axis
    bars: list[Bar]
    zero: float
    width: int
    height: int


def plot(
    points: Sequence[tuple[float, float]],
    x_name: str,
    y_name: str,
    x_text: Written = "{:.4g}".format,
    y_text: Written = "{:.4g}".format,
    x_base: int = 10,
) -> Plot:
    """The axes that show all points (x, y), finite and at least one. `x_base` is 1024 for bytes."""
    xs, ys = zip(*points, strict=True)
    return Plot(
        _axis(x_name, xs, LEFT, WIDTH - RIGHT, x_text, base=x_base),
        _axis(y_name, ys, HEIGHT - BOTTOM, TOP, y_text),
    )


def path(plot: Plot, points: Sequence[tuple[float, float]]) -> str:
    """`points` of an SVG polyline; of many every n-th and the last."""
    every = math.ceil(len(points) / MOST_POINTS) or 1
    chosen = [*points[::every], *points[-1:]]
    return " ".join(f"{plot.x.place(x)},{plot.y.place(y)}" for x, y in chosen)


def bars(
    rows: Iterable[tuple[str, float, tuple[float, float] | None, str, str]],
    name: str,
    text: Written,
    base: int = 10,
) -> Bars:
    """Rows of name, value, interval, what is written beside it, tone; all on one axis that begins at zero."""
    listed = [*rows]
    values = [0.0] + [bound for _, value, interval, *_ in listed for bound in (value, *(interval or ()))]
    axis = _axis(name, values, 8, WIDTH - 8, text, around=0, base=base)
    drawn = [
        Bar(
            label,
            written,
            axis.place(value),
            axis.place(interval[0]) if interval else None,
            axis.place(interval[1]) if interval else None,
            ROW * index,
            tone,
        )
        for index, (label, value, interval, written, tone) in enumerate(listed)
    ]
    return Bars(axis, drawn, axis.place(0.0), WIDTH, ROW * len(listed) + 26)


def _axis(
    name: str,
    values: Iterable[float],
    start: float,
    end: float,
    text: Written,
    around: float = 0.06,
    base: int = 10,
) -> Axis:
    """Ticks at round numbers of the unit, a power of `base`; `around` is the room beyond the outermost values."""
    low, high = min(listed := [*values]), max(listed)
    largest = max(abs(low), abs(high))
    if high - low <= max(ALIKE * largest, SMALLEST):
        apart = largest / 10 if largest > SMALLEST else 0.1
        low, high = low - apart, high + apart
    room = around * (high - low)
    low, high = low - room, high + room
    unit = 1.0 if base == 10 else float(base) ** max(0, math.floor(math.log(max(largest, 1.0), base)))
    step = unit * _round_step((high - low) / TICKS / unit)
    first = math.ceil(low / step)
    ticks = [index * step for index in range(first, math.floor(high / step) + 1)]
    places = [Tick(round(_place(tick, low, high, start, end), 1), text(tick)) for tick in ticks]
    return Axis(name, low, high, start, end, places)


def _place(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / (high - low) * (end - start)


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not smaller."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in STEPS if step * power >= rough * (1 - 1e-9))
