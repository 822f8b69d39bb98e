"""How far the outputs moved, and where the file can be loaded."""

from winnow.contract import units
from winnow.contract.report import Parity, Portability
from worker.compression.result.page.blocks import Block, Cell, Section, Table
from worker.compression.result.page.subject import Subject

PARITY = ("output", "samples", "cosine", "SNR", "largest error", "mean error", "same first class")
PORTABILITY = ("runtime", "loads", "why not")


def section(subject: Subject) -> Section | None:
    report, blocks = subject.report, list[Block]()
    if report.parity:
        blocks.append(Table(PARITY, [_parity(entry) for entry in report.parity]))
    if report.portability:
        rows = [_portability(entry) for entry in report.portability]
        blocks.append(Table(PORTABILITY, rows, 3, "Other runtimes"))
    return Section("outputs", "Outputs", blocks) if blocks else None


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
