"""Squares on a grid: what became of the layers of a network, and how two tables of counts differ."""

from collections.abc import Sequence
from typing import Final

from worker.compression.result.page.marks import Drawing, Mark, Rect, Words, shortened

SIDE: Final = 16.0
GAP: Final = 3.0
ACROSS: Final = 17
"""Columns of the map before it goes on below: as many as a phone has room for."""
CELL: Final = 22.0


def network_map(label: str, columns: Sequence[Sequence[tuple[str, str]]]) -> Drawing:
    """One column of (kind, tip) for each depth of the network, from its inputs on; what is parallel is one above the
    other. Goes on below where the row is full."""
    marks: list[Mark] = []
    top = 0.0
    for start in range(0, len(columns), ACROSS):
        part = columns[start : start + ACROSS]
        for across, column in enumerate(part):
            for down, (kind, tip) in enumerate(column):
                x, y = across * (SIDE + GAP), top + down * (SIDE + GAP)
                marks.append(Rect(x + 1, y + 1, SIDE, SIDE, kind, tip))
        top += max(map(len, part)) * (SIDE + GAP) + 8
    return Drawing(ACROSS * (SIDE + GAP), max(top, SIDE), label, marks)


def differences(label: str, names: Sequence[str], change: Sequence[Sequence[int]]) -> Drawing:
    """A matrix [true, predicted] of what became more (`after`) or less (`before`) often; on the diagonal more is good,
    beside it bad."""
    most = max((abs(value) for row in change for value in row), default=0) or 1
    left, marks = 70.0, list[Mark]()
    for column, name in enumerate(names):
        marks.append(Words(left + column * CELL + CELL / 2, 12, shortened(name, 4), "soft", "middle"))
    for row, name in enumerate(names):
        marks.append(Words(left - 6, 20 + row * CELL + 15, shortened(name, 10), "soft", "end"))
        for column, value in enumerate(change[row]):
            if value:
                kind = "good" if (value > 0) == (row == column) else "bad"
                x, y = left + column * CELL, 20 + row * CELL
                tip = f"{name} taken for {names[column]}: {value:+d}"
                marks.append(
                    Rect(x, y, CELL - 1, CELL - 1, kind, tip, opacity=0.15 + 0.45 * abs(value) / most)
                )
                marks.append(Words(x + CELL / 2, y + 15, f"{value:+d}", "", "middle"))
    return Drawing(left + len(names) * CELL + 2, 24 + len(names) * CELL, label, marks)
