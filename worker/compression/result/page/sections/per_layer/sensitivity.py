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
    rows = [(str(row["name"]), float(row["snr_db"]), "after") for row in _measured(step.details)]
    rows.sort(key=lambda row: row[1])
    if rows:
        name = f"Step {step.index + 1}, {step.kind}"
        note = f"the {SHOWN} lowest of {len(rows)}" if len(rows) > SHOWN else ""
        label = f"{name}: sensitivity of {len(rows)} layers, from {rows[0][1]:.1f} dB on"
        yield Figure(named_bars(label, rows[:SHOWN], lambda db: f"{db:.1f} dB"), name, note)


def _measured(details: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the details that have it, wherever they stand in them."""
    for key, value in details.items():
        if isinstance(value, dict):
            yield from _measured(value)
        elif key == "sensitivity" and isinstance(value, list):
            yield from (row for row in value if _is_row(row))


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and "name" in row and isinstance(row.get("snr_db"), int | float)
