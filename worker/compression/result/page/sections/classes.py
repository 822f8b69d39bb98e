"""What changed for single classes, and which are taken for which more or less often than before."""

from typing import Final

from winnow.contract import units
from winnow.contract.evaluation import ERRORS
from winnow.contract.report import Quality
from worker.compression.result.page.blocks import Block, Figure, Figures, Section
from worker.compression.result.page.charts.bars import named_bars
from worker.compression.result.page.charts.squares import differences
from worker.compression.result.page.looking.answers import named
from worker.compression.result.page.seen import Confusion
from worker.compression.result.page.subject import Subject

SHOWN: Final = 20
CONFUSED: Final = 12


def section(subject: Subject) -> Section | None:
    seen = subject.seen
    drawn = [_per_class(entry, seen.classes) for entry in subject.report.quality if entry.per_class]
    drawn.append(None if seen.confusion is None else _confusion(seen.confusion))
    figures = [figure for figure in drawn if figure is not None]
    blocks: list[Block] = [Figures(figures)]
    return Section("classes", "Classes", blocks) if figures else None


def _per_class(entry: Quality, names: list[str]) -> Figure | None:
    sign = -1 if entry.metric in ERRORS else 1
    rows = []
    for one in entry.per_class or []:
        change = sign * (one.after - one.before)
        before, after = (units.metric(entry.metric, value) for value in (one.before, one.after))
        shown = f"{named(one.number, names)}, {before} → {after}"
        rows.append((shown, change, "good" if change > 0 else "bad"))
    changed = sorted((row for row in rows if row[1]), key=lambda row: -abs(row[1]))
    if not changed:
        return None
    label = f"Change of {entry.metric} for {len(changed)} classes; the largest is {changed[0][0]}"
    note = f"{len(rows) - len(changed)} of {len(rows)} classes are as they were"
    if len(changed) > SHOWN:
        note += f"; the {SHOWN} largest changes are shown"
    drawing = named_bars(label, changed[:SHOWN], lambda value: units.metric(entry.metric, value))
    return Figure(drawing, f"{entry.metric} by class, right is better", note)


def _confusion(confusion: Confusion) -> Figure | None:
    change = confusion.after - confusion.before
    moved = abs(change).sum(0) + abs(change).sum(1)
    chosen = sorted(sorted(range(len(moved)), key=lambda n: -moved[n])[:CONFUSED])
    if not moved.any():
        return None
    names = [confusion.classes[n] for n in chosen]
    part = change[chosen][:, chosen].tolist()
    label = f"How often a class (row) is taken for another (column), after minus before: {len(names)} classes"
    note = f"rows are true classes, columns what they are taken for; {confusion.samples} samples"
    return Figure(differences(label, names, part), "Confusion, after minus before", note)
