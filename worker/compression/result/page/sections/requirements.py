"""Requirement by requirement."""

from winnow.contract import units
from winnow.contract.report import RequirementResult
from worker.compression.result.page.blocks import Cell, Section, Table
from worker.compression.result.page.subject import Subject

COLUMNS = ("requirement", "met", "asked", "measured", "95 % interval", "what is missing")


def section(subject: Subject) -> Section | None:
    entries = subject.report.requirements
    if not entries:
        return None
    rows = [_row(entry) for entry in entries]
    return Section("requirements", "Requirements", [Table(COLUMNS, rows, 2, texts=1)])


def _row(entry: RequirementResult) -> list[Cell | str]:
    asked, measured = units.asked_and_measured(entry.name, entry.asked, entry.measured)
    interval = "-" if entry.interval is None else " to ".join(f"{bound:.4g}" for bound in entry.interval)
    why = " ".join(filter(None, [entry.why, entry.cause and f"Likeliest cause: {entry.cause.rstrip('.')}."]))
    return [
        entry.name,
        Cell("yes", "good") if entry.met else Cell("no", "bad"),
        asked,
        measured,
        interval,
        why,
    ]
