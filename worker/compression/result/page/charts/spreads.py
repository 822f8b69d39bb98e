"""How numbers are spread: histograms of two sides over the same edges."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.result.page.marks import Curve, Drawing, Line, Mark, Words, scale

WIDTH: Final = 340.0
HEIGHT: Final = 120.0
BINS: Final = 40


def spread(
    label: str,
    edges: Sequence[float],
    before: Sequence[float],
    after: Sequence[float],
    show: Callable[[float], str],
    medians: tuple[float, float] | None = None,
) -> Drawing:
    """Both as areas, each as high as its own largest bin; `medians` are marked."""
    x = scale(edges[0], edges[-1], 6, WIDTH - 6)
    marks: list[Mark] = []
    for kind, counts in (("before", before), ("after", after)):
        marks.append(Curve(_steps(edges, counts, x), f"area {kind}", filled=True))
    for kind, median in zip(("before", "after"), medians or (), strict=False):
        marks.append(Line(x(median), 4, x(median), HEIGHT, kind))
    marks.append(Line(6, HEIGHT, WIDTH - 6, HEIGHT, "axis"))
    for value, anchor in ((edges[0], "start"), ((edges[0] + edges[-1]) / 2, "middle"), (edges[-1], "end")):
        marks.append(Words(x(value), HEIGHT + 14, show(value), "soft", anchor))  # type: ignore[arg-type]
    return Drawing(WIDTH, HEIGHT + 18, label, marks)


def _steps(
    edges: Sequence[float], counts: Sequence[float], x: Callable[[float], float]
) -> list[tuple[float, float]]:
    y = scale(0, max(counts) or 1, HEIGHT, 8)
    points = [(x(edges[0]), HEIGHT)]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        points += [(x(low), y(count)), (x(high), y(count))]
    return [*points, (x(edges[-1]), HEIGHT)]


def binned(
    before: Sequence[float] | Array, after: Sequence[float] | Array, *, tails: float = 0.0, bins: int = BINS
) -> tuple[list[float], list[float], list[float]]:
    """Bin both over the same edges; the share `tails` is left out at each end, and counted in the last bins."""
    both = np.concatenate([np.asarray(before, np.float64), np.asarray(after, np.float64)])
    both = both[np.isfinite(both)]
    low, high = (0.0, 1.0) if not both.size else np.quantile(both, [tails, 1 - tails])
    edges = np.linspace(low, high if high > low else low + 1e-9 + abs(low) * 1e-6, bins + 1)
    counts = [np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0] for side in (before, after)]
    return edges.tolist(), counts[0].astype(float).tolist(), counts[1].astype(float).tolist()
