"""What it was measured on, and what else there is to know."""

from winnow.contract import units
from worker.compression.result.page.blocks import Block, Listing, Section, Table
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section:
    report = subject.report
    found = report.environment
    rows = [
        ["CPU", f"{found.cpu}, {found.cores} cores"],
        ["instruction sets", ", ".join(found.cpu_flags) or "-"],
        ["memory", units.size(found.memory_bytes)],
        ["GPUs", ", ".join(found.gpus) or "none"],
        ["system", found.platform],
        ["seed", str(report.seed)],
        ["graph", report.graph_sha256],
        *([name, version] for name, version in sorted(found.versions.items())),
    ]
    blocks: list[Block] = [Table(("what", "value"), rows, 2)]
    why = None if report.energy is None else report.energy.why
    if notes := [*report.notes, *filter(None, [why])]:
        blocks.append(Listing(notes))
    return Section("environment", "Environment and notes", blocks)
