"""The network from its inputs to its outputs, a square for each layer with weights."""

from collections import defaultdict
from typing import Final

from worker.compression.result.page.blocks import Figure, Figures, Paragraph, Section
from worker.compression.result.page.charts.squares import network_map
from worker.compression.result.page.fate import KINDS, fate_of
from worker.compression.result.page.subject import Subject

SHOWN: Final = 1500


def section(subject: Subject) -> Section | None:
    layers = subject.report.layers
    if not layers:
        return None
    fates = {layer.name: fate_of(layer) for layer in layers[:SHOWN]}
    counts: defaultdict[str, int] = defaultdict(int)
    columns: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for index, layer in enumerate(layers[:SHOWN]):
        fate = fates[layer.name]
        counts[fate.kind] += 1
        depth = subject.seen.levels.get(layer.name, index)
        columns[depth].append((fate.kind, f"{layer.name} ({layer.op}): {fate.words}"))
    legend = [(kind, f"{words} ({counts[kind]})") for kind, words in KINDS if counts[kind]]
    label = f"{len(fates)} layers in {len(columns)} levels: " + ", ".join(words for _, words in legend)
    drawing = network_map(label, [columns[depth] for depth in sorted(columns)])
    note = "From the inputs on, left to right, row by row"
    if subject.seen.levels:
        note += "; layers of the same depth stand one above the other"
    blocks = [Figures([Figure(drawing, "", f"{note}.")], legend)]
    more = len(layers) - len(fates)
    rest = [Paragraph(f"{more} more layers are not drawn.", "quiet")] if more else []
    return Section("network", "Map of the network", [*blocks, *rest])
