"""The samples on which both models disagree the most."""

from worker.compression.result.page.blocks import Block, Card, Gallery, Paragraph, Section
from worker.compression.result.page.marks import Drawing, Rect
from worker.compression.result.page.seen import Sample
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section | None:
    seen = subject.seen
    if not seen.compared:
        return None
    told = f"{seen.differing} of {seen.compared} samples are answered differently"
    told += "; those whose outputs are farthest apart:" if seen.samples else "."
    blocks: list[Block] = [Paragraph(told)]
    if any(sample.boxes_before or sample.boxes_after for sample in seen.samples):
        blocks.append(Paragraph("Boxes: before in orange, after dashed in blue.", "quiet"))
    if any(sample.moved for sample in seen.samples):
        blocks.append(Paragraph("Red: the more, the more pixels are of another class than before.", "quiet"))
    if seen.samples:
        blocks.append(Gallery([_card(sample) for sample in seen.samples]))
    return Section("samples", "Samples that differ", blocks)


def _card(sample: Sample) -> Card:
    truth = [] if sample.truth is None else [f"is {sample.truth}"]
    own = [sample.words] if sample.words else []
    lines = [f"row {sample.row}", *own, f"before: {sample.before}", f"after: {sample.after}", *truth]
    return Card(lines, sample.picture, _boxes(sample) or _moved(sample))


def _boxes(sample: Sample) -> Drawing | None:
    """In shares of the picture."""
    if not sample.boxes_before and not sample.boxes_after:
        return None
    sides = (("before", sample.boxes_before), ("after", sample.boxes_after))
    marks = [
        Rect(100 * x1, 100 * y1, 100 * (x2 - x1), 100 * (y2 - y1), f"box {kind}")
        for kind, boxes in sides
        for x1, y1, x2, y2 in boxes
    ]
    label = f"{len(sample.boxes_before)} boxes before, {len(sample.boxes_after)} after"
    return Drawing(100, 100, label, marks)


def _moved(sample: Sample) -> Drawing | None:
    """Patches in shares of the picture."""
    if not sample.moved:
        return None
    high, wide = 100 / len(sample.moved), 100 / len(sample.moved[0])
    marks = [
        Rect(wide * column, high * row, wide, high, "bad", f"{share:.0%}", opacity=0.1 + 0.65 * share)
        for row, shares in enumerate(sample.moved)
        for column, share in enumerate(shares)
        if share
    ]
    return Drawing(100, 100, f"{len(marks)} patches have pixels of another class than before", marks)
