"""How single runs are spread, and their percentiles."""

from collections.abc import Iterator
from typing import Final

from winnow.contract import units
from winnow.contract.report import Latency
from worker.compression.result.page.blocks import Block, Figure, Figures, Paragraph, Section, Table
from worker.compression.result.page.charts.spreads import binned, spread
from worker.compression.result.page.subject import Subject

TAILS: Final = 0.05
"""Of the runs at each end, which would stretch the picture."""


def section(subject: Subject) -> Section | None:
    entries = subject.report.latency
    if not entries:
        return None
    legend = [("before", "before"), ("after", "after")]
    rows = [row for entry in entries for row in _rows(entry)]
    columns = ("measured at", "model", "p50", "p90", "p95", "p99", "mean", "per second")
    blocks: list[Block] = [
        Figures([_figure(entry) for entry in entries[:8]], legend),
        Table(columns, rows, 2),
    ]
    blocks += [Paragraph(f"{_where(entry)}: not told, {entry.untold}.") for entry in entries if entry.untold]
    return Section("latency", "Latency", blocks)


def _figure(entry: Latency) -> Figure:
    before, after = entry.baseline_samples_ms or [], entry.candidate_samples_ms or []
    edges, first, second = binned(before, after, tails=TAILS)
    medians = entry.baseline_ms.p50, entry.candidate_ms.p50
    label = f"Single runs, {_where(entry)}: half take {medians[0]:.4g} ms before, {medians[1]:.4g} ms after"
    drawing = spread(label, edges, first, second, units.milliseconds, medians)
    note = f"{len(before)} and {len(after)} runs; the lines are the medians"
    return Figure(drawing, _where(entry), note)


def _where(entry: Latency) -> str:
    return f"batch {entry.batch_size}, threads {entry.threads}, {entry.provider}"


def _rows(entry: Latency) -> Iterator[list[str]]:
    sides = (
        ("before", entry.baseline_ms, entry.baseline_throughput),
        ("after", entry.candidate_ms, entry.candidate_throughput),
    )
    for name, times, rate in sides:
        figures = (times.p50, times.p90, times.p95, times.p99, times.mean)
        yield [_where(entry), name, *map(units.milliseconds, figures), units.rate(rate)]
