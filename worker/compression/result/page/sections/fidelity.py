"""Whether both models look at the same parts of a sample: pictures with their patches, or bars for each number."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from winnow.contract.declaration import TableInput
from winnow.contract.errors import Refusal
from winnow.contract.report import Fidelity
from worker.compression.result.fidelity.attributions import Attribution
from worker.compression.result.page.blocks import Block, Card, Figure, Figures, Gallery, Paragraph, Section
from worker.compression.result.page.charts.bars import named_bars
from worker.compression.result.page.looking.pair import Pair, Unseen
from worker.compression.result.page.looking.pictured import pictured
from worker.compression.result.page.marks import Drawing, Rect
from worker.compression.result.page.subject import Subject

PICTURES: Final = 6
NUMBERS: Final = 16
METHODS: Final = {"integrated_gradients": "integrated gradients", "occlusion": "leaving each part out"}


def section(subject: Subject) -> Section | None:
    fidelity = subject.report.fidelity
    if fidelity is None:
        return None
    blocks: list[Block] = [Paragraph(_sentence(fidelity))]
    entries = subject.attributions.entries
    if entries and entries[0].grid[0] > 1:
        blocks.append(Paragraph("Green speaks for the answer, red against it.", "quiet"))
        pair = None if subject.materials is None else Pair.of(subject, subject.materials)
        blocks.append(Gallery([card for entry in entries[:PICTURES] for card in _cards(pair, entry)]))
    elif entries:
        names = _names(subject, fidelity.input, len(entries[0].before))
        blocks.append(Figures([_bars(entries, names)], [("before", "before"), ("after", "after")]))
    return Section("fidelity", "What both models look at", blocks)


def _sentence(fidelity: Fidelity) -> str:
    known = [value for value in fidelity.spearman if value is not None]
    mean = fidelity.mean
    alike = "nothing could be ranked" if mean is None else f"rank correlation {mean:.3f} on average"
    least = f", {min(known):.3f} at the least" if known else ""
    return (
        f"Of {fidelity.samples} samples, {fidelity.parts} parts of {fidelity.input} were weighed by "
        f"{METHODS[fidelity.method]}: {alike}{least} (1: both models rank them alike)."
    )


def _cards(pair: Pair | None, entry: Attribution) -> Iterator[Card]:
    picture = _picture(pair, entry.row)
    rank = "-" if entry.spearman is None else f"{entry.spearman:.3f}"
    for name, values in (("before", entry.before), ("after", entry.after)):
        yield Card(
            [f"row {entry.row}, {name}", f"rank correlation {rank}"], picture, _heat(name, values, entry.grid)
        )


def _picture(pair: Pair | None, row: int) -> str:
    if pair is None:
        return ""
    try:
        return pictured(pair, row)[0]
    except (Refusal, Unseen):
        return ""


def _heat(name: str, values: Any, grid: tuple[int, int]) -> Drawing:
    down, across = grid
    most = float(np.abs(values).max()) or 1.0
    marks = [
        Rect(
            *(100 / across * (n % across), 100 / down * (n // across), 100 / across, 100 / down),
            "good" if value > 0 else "bad",
            opacity=0.75 * abs(float(value)) / most,
        )
        for n, value in enumerate(values)
        if abs(value) > 0.05 * most
    ]
    return Drawing(100, 100, f"What each of {down} × {across} patches adds, {name}", marks)


def _names(subject: Subject, input: str, parts: int) -> list[str]:
    """Of the columns that a table's numbers come from, else the input's name with a number each."""
    numbered = [f"{input} {part}" for part in range(parts)]
    if subject.materials is None:
        return numbered
    data = subject.materials.data
    source = data.evaluation or data.calibration
    if source is None:
        return numbered
    how = source.declaration.inputs.get(source.map.get(input, input))
    return list(how.columns) if isinstance(how, TableInput) and len(how.columns) == parts else numbered


def _bars(entries: list[Attribution], names: list[str]) -> Figure:
    """Of the numbers that weigh most, on average over the samples, in either direction."""
    before, after = (
        np.mean([np.abs(side) for side in sides], axis=0)
        for sides in ([entry.before for entry in entries], [entry.after for entry in entries])
    )
    chosen = np.argsort(-before)[:NUMBERS]
    rows = [
        (f"{names[part]}, {kind}", float(side[part]), kind)
        for part in chosen
        for kind, side in (("before", before), ("after", after))
    ]
    label = f"What the {len(chosen)} numbers add that weigh most before, on average"
    return Figure(named_bars(label, rows, lambda value: f"{value:.3g}"), "Weight of each part, on average")
