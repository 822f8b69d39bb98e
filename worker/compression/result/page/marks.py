"""What a drawing is made of. A mark's `kind` is a class of the page's style sheet, which has its colours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Rect:
    """`tip` is shown where a pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    tip: str = ""
    opacity: float = 1.0
    mark: str = "rect"


@dataclass(frozen=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float
    kind: str
    mark: str = "line"


@dataclass(frozen=True)
class Curve:
    """A line through points, in the drawing's own units; `filled` down to its ends."""

    points: Sequence[tuple[float, float]]
    kind: str
    filled: bool = False
    mark: str = "curve"

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self.points) + ("Z" if self.filled else "")


@dataclass(frozen=True)
class Words:
    x: float
    y: float
    text: str
    kind: str = ""
    anchor: Anchor = "start"
    mark: str = "words"


Mark = Rect | Line | Curve | Words


@dataclass(frozen=True)
class Drawing:
    """`label` says in words what there is to see."""

    width: float
    height: float
    label: str
    marks: Sequence[Mark]


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Make the linear function that takes `low` to `start` and `high` to `end`, and nothing beyond."""
    span = high - low

    def place(value: float) -> float:
        share = (value - low) / span if span > 0 else 0.0
        return start + (end - start) * min(1.0, max(0.0, share))

    return place


def shortened(text: str, most: int = 48) -> str:
    """Keep both ends of a long name: what tells layers apart is often at its end."""
    if len(text) <= most:
        return text
    front = most // 3
    return f"{text[:front]}…{text[len(text) - (most - front - 1) :]}"
