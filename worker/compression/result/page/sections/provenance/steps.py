"""What each step did, cost, and had to say."""

from collections import Counter
from collections.abc import Iterator

from winnow.contract import units
from winnow.contract.report import StepReport
from worker.compression.result.page.blocks import Block, Listing, Section, Table
from worker.compression.result.page.subject import Subject

COLUMNS = ("step", "nodes changed", "size behind it", "took", "operator set")


def section(subject: Subject) -> Section | None:
    steps = subject.report.steps
    if not steps:
        return None
    rows = [
        [
            f"{step.index + 1} {step.kind}",
            f"{step.changed} of {step.candidates}",
            units.size(step.size_bytes),
            f"{step.seconds:.1f} s",
            str(step.opset),
        ]
        for step in steps
    ]
    blocks: list[Block] = [Table(COLUMNS, rows)]
    said = [f"{step.kind}: {text}" for step in steps for text in (*step.notes, *_reasons(step))]
    if said:
        blocks.append(Listing(said))
    return Section("steps", "Steps and reasons", blocks)


def _reasons(step: StepReport) -> Iterator[str]:
    """Why layers were left as they were, the commonest reason first."""
    told = step.details.get("layers")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    left = Counter(str(row["reason"]) for row in rows if row.get("reason"))
    yield from (f"{count} layers left as they were: {reason}." for reason, count in left.most_common(8))
    because = step.details.get("because")
    if isinstance(because, str):
        yield because
