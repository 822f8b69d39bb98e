"""Lines over a course: of a training, its losses by epoch."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from worker.compression.result.page.marks import Curve, Drawing, Line, Mark, Words, scale

WIDTH: Final = 340.0
HEIGHT: Final = 150.0
LEFT: Final = 62.0
MAX_POINTS: Final = 300


def curves(
    label: str, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]], show: Callable[[float], str]
) -> Drawing:
    """Draw each (kind, points); what is no number is left out."""
    finite = [(kind, _thinned([p for p in line if math.isfinite(p[1])])) for kind, line in lines]
    xs = [x for _, line in finite for x, _ in line]
    ys = [y for _, line in finite for _, y in line]
    x, y = scale(min(xs), max(xs), LEFT, WIDTH - 8), scale(min(ys), max(ys), HEIGHT - 18, 8)
    marks: list[Mark] = [Line(LEFT, HEIGHT - 18, WIDTH - 8, HEIGHT - 18, "axis")]
    for value in dict.fromkeys((min(ys), max(ys))):
        marks.append(Words(LEFT - 5, y(value) + 4, show(value), "soft", "end"))
    marks.append(Words(LEFT, HEIGHT - 4, f"{min(xs):g}", "soft"))
    marks.append(Words(WIDTH - 8, HEIGHT - 4, f"{max(xs):g}", "soft", "end"))
    marks += [Curve([(x(a), y(b)) for a, b in line], kind) for kind, line in finite if line]
    return Drawing(WIDTH, HEIGHT, label, marks)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    step = -(-len(points) // MAX_POINTS) or 1
    return points[::step]
