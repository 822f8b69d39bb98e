"""Causes that more than one kind of requirement can have."""

from collections import Counter
from typing import Any

from winnow.contract.report import RequirementResult, StepReport
from winnow.contract.requirements import SPEED
from worker.compression.result.causes.evidence import Evidence


def wide_interval(entry: RequirementResult, evidence: Evidence) -> str | None:
    """What was measured meets the bound, and only its interval does not."""
    if entry.measured is None or entry.interval is None:
        return None
    at_least = entry.name.startswith("min_") or entry.name.endswith(".min")
    meets = entry.measured >= entry.asked if at_least else entry.measured <= entry.asked
    if not meets:
        return None
    low, high = entry.interval
    return (
        f"{entry.measured:.4g} alone would meet it, but its interval reaches from {low:.4g} to {high:.4g}: "
        f"{_draws(entry, evidence)} are too few to tell"
    )


def _draws(entry: RequirementResult, evidence: Evidence) -> str:
    if entry.name in SPEED:
        return f"{evidence.report.latency[0].rounds} rounds"
    return f"{evidence.report.quality[0].samples} samples"


def nothing_changed(_: RequirementResult, evidence: Evidence) -> str | None:
    if evidence.changed:
        return None
    notes = [note for step in evidence.report.steps for note in step.notes]
    why = f" ({notes[0].rstrip('.')})" if notes else ""
    return f"no step changed anything{why}"


def pinned_channels(entry: RequirementResult, evidence: Evidence) -> str | None:
    """Channels that cannot be cut, by the step's own account."""
    kind = entry.name.partition(".")[0]
    step = next((step for step in evidence.report.steps if step.kind == kind), None)
    rows = [] if step is None else rows_of(step, "groups")
    pinned = Counter[str]()
    for row in rows:
        if row.get("pinned"):
            pinned[str(row["pinned"])] += int(row["channels"])
    if not pinned:
        return None
    reason, count = pinned.most_common(1)[0]
    total = sum(int(row["channels"]) for row in rows)
    return f"{pinned.total()} of {total} channels cannot be cut ({count} of them: {reason})"


def rows_of(step: StepReport, name: str) -> list[dict[str, Any]]:
    """Read a table of the step's account; also where it was tried and not kept."""
    details = step.details.get("tried", step.details)
    rows = details.get(name) if isinstance(details, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
