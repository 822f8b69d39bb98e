"""What a training step tells of itself, as a table of its epochs. Nothing in it is certain to be there."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType

from winnow.cli.screen import Column, table
from winnow.contract import units
from winnow.contract.report import StepReport

MOST_ROWS: Final = 12
"""Of more epochs the first, the best and the last ones are shown."""
COLUMNS: Final[Sequence[Column]] = (
    ("epoch", "left"),
    ("loss", "right"),
    ("validation loss", "right"),
    ("metric", "right"),
)


def training_table(step: StepReport) -> Group:
    best = step.details.get("best_epoch")
    rows = [_row(epoch, best) for epoch in _chosen(_epochs(step.details), best)]
    name = f"{step.index + 1} {step.kind}"
    facts = ", ".join(_facts(step.details))
    parts: list[RenderableType] = [table(f"Training of {name}", COLUMNS, rows)]
    return Group(*parts, f"Trained, {name}: {facts}.") if facts else Group(*parts)


def _facts(details: dict[str, Any]) -> Iterator[str]:
    if _is_number(details.get("learning_rate")):
        yield f"learning rate {_shown(details['learning_rate'])}"
    if _is_number(details.get("best_epoch")):
        yield f"best after epoch {_shown(details['best_epoch'])}"
    if _is_number(details.get("samples_per_second")):
        yield f"{units.count(details['samples_per_second'])} samples/s"
    if _is_number(details.get("seconds")):
        yield f"took {units.duration(details['seconds'])}"


def _epochs(details: dict[str, Any]) -> list[dict[str, Any]]:
    told = details.get("epochs")
    return [epoch for epoch in told if isinstance(epoch, dict)] if isinstance(told, list) else []


def _chosen(epochs: list[dict[str, Any]], best: object) -> list[dict[str, Any]]:
    if len(epochs) <= MOST_ROWS:
        return epochs
    first, *middle = epochs[: 2 - MOST_ROWS]
    marked = [epoch for epoch in middle if epoch.get("epoch") == best]
    return [first, *marked, *epochs[2 - MOST_ROWS :]]


def _row(epoch: dict[str, Any], best: object) -> tuple[str, ...]:
    number = _shown(epoch.get("epoch"))
    mark = " (best)" if best is not None and epoch.get("epoch") == best else ""
    return (number + mark, *(_shown(epoch.get(name)) for name in ("loss", "validation_loss", "metric")))


def _shown(value: object) -> str:
    return str(value) if isinstance(value, int) else units.number(value) if isinstance(value, float) else "-"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
