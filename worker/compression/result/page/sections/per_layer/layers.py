"""Layer by layer: what was done, and what it changed, those first that take the most time, or the most bytes."""

from typing import Final

from winnow.contract import units
from winnow.contract.report import LayerReport, Pair
from worker.compression.result.page.blocks import Block, Cell, Folded, Paragraph, Section, Table
from worker.compression.result.page.fate import fate_of
from worker.compression.result.page.marks import shortened
from worker.compression.result.page.subject import Subject

SHOWN: Final = 40
FOLDED: Final = 400
COLUMNS: Final = (
    "layer",
    "operator",
    "what became of it",
    *("bytes before", "bytes after"),
    *("MACs before", "MACs after"),
    "SNR of its output",
)
TIMES: Final = ("ms before", "ms after")


def section(subject: Subject) -> Section | None:
    layers = sorted(subject.report.layers, key=lambda layer: _weight(layer, subject), reverse=True)
    if not layers:
        return None
    blocks: list[Block] = [Paragraph(_order(subject), "quiet")]
    rows = [_row(layer, subject) for layer in layers[: SHOWN + FOLDED]]
    columns = (*COLUMNS, *(TIMES if subject.seen.times.before else ()))
    blocks.append(Table(columns, rows[:SHOWN], 3))
    if rows[SHOWN:]:
        blocks.append(Folded(f"{len(rows) - SHOWN} more layers", [Table(columns, rows[SHOWN:], 3)]))
    if len(layers) > len(rows):
        blocks.append(Paragraph(f"{len(layers) - len(rows)} more stand in the JSON report.", "quiet"))
    blocks += [Paragraph(why, "quiet") for why in subject.seen.why]
    return Section("layers", "Layers", blocks)


def _order(subject: Subject) -> str:
    told = "The SNR compares a layer's output with the original's: noise of all layers before it is in it."
    if subject.seen.times.before:
        return f"Sorted by the original's time: one thread, from the runtime's own profile. {told}"
    return f"Sorted by bytes; no times were taken. {told}"


def _weight(layer: LayerReport, subject: Subject) -> tuple[float, float]:
    return subject.seen.times.before.get(layer.name, 0.0), layer.size_bytes.before


def _row(layer: LayerReport, subject: Subject) -> list[Cell | str]:
    seen, fate = subject.seen, fate_of(layer)
    snr = seen.snr_db.get(layer.name)
    return [
        Cell(shortened(layer.name), tip=layer.name),
        layer.op,
        Cell(fate.words, kind=fate.kind),
        *_both(layer.size_bytes),
        *(("-", "-") if layer.macs is None else _both(layer.macs)),
        ("exact" if layer.name in seen.snr_db else "-") if snr is None else f"{snr:.1f} dB",
        *(_time(side.get(layer.name)) for side in (seen.times.before, seen.times.after) if seen.times.before),
    ]


def _both(pair: Pair) -> tuple[str, str]:
    return units.count(pair.before), units.count(pair.after)


def _time(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.4f}"
