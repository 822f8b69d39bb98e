"""What really runs: what both models are computed in by the runtime that measured them."""

from collections.abc import Iterator

from winnow.contract.arithmetic import Arithmetic
from worker.compression.result.page.blocks import Block, Paragraph, Section, Table
from worker.compression.result.page.subject import Subject

COLUMNS = (
    *("model", "nodes", "of integers", "of floats", "work in integers", "work in floats"),
    *("floats in", "products"),
)


def section(subject: Subject) -> Section | None:
    arithmetic = subject.report.arithmetic
    if arithmetic is None:
        return None
    blocks: list[Block] = [Paragraph(arithmetic.says)]
    rows = [*_rows(arithmetic)]
    if rows:
        blocks.append(Table(COLUMNS, rows, 1, texts=2))
    return Section("arithmetic", "What really runs", blocks)


def _rows(arithmetic: Arithmetic) -> Iterator[list[str]]:
    for name, kernels in (("before", arithmetic.before), ("after", arithmetic.after)):
        if kernels is None:
            continue
        yield [
            name,
            f"{kernels.nodes}",
            *map(
                _share, (kernels.integer_nodes, kernels.float_nodes, kernels.integer_macs, kernels.float_macs)
            ),
            ", ".join(kernels.float_types),
            ", ".join(f"{count} {op}" for op, count in kernels.products.items()),
        ]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
