"""Weights and activations of the layers whose outputs moved most."""

from worker.compression.result.page.blocks import Block, Figure, Figures, Section
from worker.compression.result.page.charts.spreads import spread
from worker.compression.result.page.marks import shortened
from worker.compression.result.page.seen import Spread
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section | None:
    seen = subject.seen
    figures = [
        *(_figure(each, "weights") for each in seen.weights),
        *(_figure(each, "outputs") for each in seen.activations),
    ]
    if not figures:
        return None
    blocks: list[Block] = [Figures(figures, [("before", "before"), ("after", "after")])]
    return Section("histograms", "Numbers in the layers that moved most", blocks)


def _figure(each: Spread, what: str) -> Figure:
    label = f"Histogram of the {what} of {each.layer}, from {each.edges[0]:.3g} to {each.edges[-1]:.3g}"
    drawing = spread(label, each.edges, each.before, each.after, lambda value: f"{value:.3g}")
    return Figure(drawing, f"{shortened(each.layer, 36)}: {what}")
