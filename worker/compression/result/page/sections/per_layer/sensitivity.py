"""What each layer costs alone at the outputs, from the steps that measured it."""

from collections.abc import Iterator
from typing import Any, Final

from winnow.contract.report import StepReport
from worker.compression.result.page.blocks import Figure, Figures, Paragraph, Section
from worker.compression.result.page.charts.bars import named_bars
from worker.compression.result.page.subject import Subject

SHOWN: Final = 24


def section(subject: Subject) -> Section | None:
    figures = [figure for step in subject.report.steps for figure in _figures(step)]
    if not figures:
        return None
    told = "Signal to noise at the outputs with one layer alone quantized: the lower, the more it costs."
    return Section("sensitivity", "Sensitivity", [Paragraph(told, "quiet"), Figures(figures)])


def _figures(step: StepReport) -> Iterator[Figure]:
    rows = [(name, float(db), "after") for name, db in _measured(step.details)]
    rows.sort(key=lambda row: row[1])
    if rows:
        name = f"Step {step.index + 1}, {step.kind}"
        note = f"the {SHOWN} lowest of {len(rows)}" if len(rows) > SHOWN else ""
        label = f"{name}: sensitivity of {len(rows)} layers, from {rows[0][1]:.1f} dB on"
        yield Figure(named_bars(label, rows[:SHOWN], lambda db: f"{db:.1f} dB"), name, note)


def _measured(details: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Layers and decibels, wherever they stand in the details: one for each layer, or for each of the bits tried."""
    for key, value in details.items():
        if isinstance(value, dict):
            yield from _measured(value)
        elif key in ("sensitivity", "layers") and isinstance(value, list):
            yield from (
                pair for row in value if isinstance(row, dict) and "name" in row for pair in _decibels(row)
            )


def _decibels(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    match row.get("snr_db"):
        case int() | float() as db:
            yield str(row["name"]), db
        case dict() as by_bits:
            decibels = ((bits, db) for bits, db in by_bits.items() if isinstance(db, int | float))
            yield from ((f"{row['name']}, {bits} bits", db) for bits, db in decibels)
