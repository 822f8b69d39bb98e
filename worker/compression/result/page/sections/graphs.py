"""The graphs of a package, each by itself."""

from winnow.contract import units
from winnow.contract.generation_words import in_words
from winnow.contract.report import GraphReport
from worker.compression.result.page.blocks import Block, Cell, Paragraph, Section, Table
from worker.compression.result.page.subject import Subject

COLUMNS = ("graph", "before", "after", "p50 before", "p50 after", "speed", "lowest SNR")


def section(subject: Subject) -> Section | None:
    package = subject.report.package
    if package is None:
        return None
    shared = package.shared_bytes
    note = (
        f"Weights that several graphs read take {units.size(shared.after)} in the artifact, once for all of them; in "
        f"the upload {units.size(shared.before)} of weights stood or were read again. The size of a graph counts "
        "what it shares."
    )
    blocks: list[Block] = [Table(COLUMNS, [_row(graph) for graph in package.graphs]), Paragraph(note)]
    if package.generation is not None:
        blocks.append(Paragraph(in_words(package.generation)))
    return Section("graphs", "Graphs", blocks)


def _row(graph: GraphReport) -> list[Cell | str]:
    times = ["-", "-", "-"]
    if graph.latency:
        first = graph.latency[0]
        speed = units.times(first.speedup, first.speedup_interval) if first.untold is None else "not told"
        medians = first.baseline_ms.p50, first.candidate_ms.p50
        times = [*map(units.milliseconds, medians), speed]
    noise = [entry.snr_db for entry in graph.parity if entry.snr_db is not None]
    worst = f"{min(noise):.1f} dB" if noise else "-"
    size = graph.size_bytes
    return [graph.name, units.size(size.before), units.size(size.after), *times, worst]
