"""How the artifact is run: a few lines for these inputs, by ONNX Runtime and by what it was measured on."""

from winnow.contract.bundle.running import ways_to_run, zeros
from worker.compression.graph.facts.interface import interface_of
from worker.compression.result.page.blocks import Block, Code, Section
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section | None:
    """Nothing of a package: its graphs are run one after the other, by whoever knows how."""
    if subject.report.package is not None:
        return None
    latency = subject.report.latency
    feed = zeros(interface_of(subject.artifact, {}).inputs, latency[0].shapes if latency else None)
    blocks: list[Block] = [Code(lines, title) for title, lines in ways_to_run(feed, latency)]
    return Section("running", "How to run it", blocks)
