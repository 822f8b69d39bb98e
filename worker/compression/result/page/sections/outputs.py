"""How far the outputs moved, and where the file can be loaded."""

from winnow.contract import units
from winnow.contract.portability import Portability
from winnow.contract.report import Parity
from winnow.contract.target_rules.findings import Finding
from worker.compression.result.page.blocks import Block, Cell, Section, Table
from worker.compression.result.page.subject import Subject

PARITY = ("output", "samples", "cosine", "SNR", "largest error", "mean error", "same first class")
PORTABILITY = ("runtime", "loads", "why not")
FINDINGS = ("node", "operator", "effect", "why")
MAX_FINDINGS = 30
"""That the page shows; the report has more."""


def section(subject: Subject) -> Section | None:
    report, blocks = subject.report, list[Block]()
    if report.parity:
        blocks.append(Table(PARITY, [_parity(entry) for entry in report.parity]))
    if report.target is not None and (findings := report.target.after.findings):
        shown = [_finding(each) for each in findings[:MAX_FINDINGS]]
        caption = f"What {report.target.target} does not take of the result, by rules: nothing was run there"
        blocks.append(Table(FINDINGS, shown, 4, caption))
    if report.portability:
        rows = [_portability(entry) for entry in report.portability]
        blocks.append(Table(PORTABILITY, rows, 3, "Other runtimes"))
    return Section("outputs", "Outputs", blocks) if blocks else None


def _finding(entry: Finding) -> list[Cell | str]:
    node = "the graph" if entry.node is None else entry.node or "-"
    return [node, entry.operator or "-", entry.effect.replace("_", " "), f"{entry.why} {entry.source}"]


def _parity(entry: Parity) -> list[Cell | str]:
    agreement = entry.top1_agreement
    return [
        entry.output,
        f"{units.count(entry.samples)} of {entry.data}",
        "-" if entry.cosine is None else f"{entry.cosine:.6f}",
        "-" if entry.snr_db is None else f"{entry.snr_db:.1f} dB",
        units.number(entry.max_error),
        units.number(entry.mean_error),
        "-" if agreement is None else f"{agreement:.2%}",
    ]


def _portability(entry: Portability) -> list[Cell | str]:
    yes = Cell("in part" if entry.operators else "yes", "good")
    loads = {True: yes, False: Cell("no", "bad"), None: Cell("not tried", "quiet")}
    operators = f" Operators: {', '.join(entry.operators)}." if entry.operators else ""
    return [entry.runtime, loads[entry.loads], (entry.why or "") + operators]
