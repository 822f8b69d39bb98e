"""How the trainings went, epoch by epoch."""

from collections.abc import Iterator
from typing import Any, Final

from winnow.contract.report import StepReport
from worker.compression.result.page.blocks import Figure, Figures, Section
from worker.compression.result.page.charts.curves import curves
from worker.compression.result.page.subject import Subject

LOSSES: Final = (("loss", "before"), ("validation_loss", "after"))


def section(subject: Subject) -> Section | None:
    figures = [figure for step in subject.report.steps for figure in _figures(step)]
    if not figures:
        return None
    legend = [("before", "training loss"), ("after", "validation: loss or metric")]
    return Section("training", "Training", [Figures(figures, legend)])


def _figures(step: StepReport) -> Iterator[Figure]:
    told = step.details.get("epochs")
    epochs = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    name, best = f"Step {step.index + 1}, {step.kind}", step.details.get("best_epoch")
    note = f"best after epoch {best}" if isinstance(best, int) else ""
    for title, names in (("loss", LOSSES), ("metric", (("metric", "after"),))):
        lines = [(kind, points) for key, kind in names if len(points := _points(epochs, key)) > 1]
        if lines:
            label = f"{name}: {title} over {len(epochs)} epochs, at last {lines[-1][1][-1][1]:.4g}"
            yield Figure(curves(label, lines, lambda value: f"{value:.3g}"), f"{name}: {title}", note)


def _points(epochs: list[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    return [
        (float(row["epoch"]), float(row[key]))
        for row in epochs
        if isinstance(row.get("epoch"), int | float) and isinstance(row.get(key), int | float)
    ]
