"""What was seen for a page; each part is empty where it was not measured, and `why` says in sentences why not."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Times:
    """Milliseconds by layer, one thread, batch 1 or the benchmark's first."""

    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Histograms of one layer's numbers before and after, over the same `edges`."""

    layer: str
    edges: list[float]
    before: list[float]
    after: list[float]


@dataclass(frozen=True)
class Sample:
    """A sample that both models answer differently: what each answers, in words. `words`: its own, where it is no
    picture; `moved`: of masks, the share of pixels of another class in patches, row by row."""

    row: int
    before: str
    after: str
    truth: str | None
    distance: float
    picture: str = ""
    boxes_before: list[tuple[float, float, float, float]] = field(default_factory=list)
    boxes_after: list[tuple[float, float, float, float]] = field(default_factory=list)
    words: str = ""
    moved: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Confusion:
    """Counts [true class, predicted class] of both models, over `samples` samples."""

    classes: list[str]
    before: Any
    after: Any
    samples: int


@dataclass(frozen=True)
class Seen:
    times: Times = field(default_factory=Times)
    snr_db: dict[str, float | None] = field(default_factory=dict)
    activations: list[Spread] = field(default_factory=list)
    weights: list[Spread] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    compared: int = 0
    differing: int = 0
    confusion: Confusion | None = None
    classes: list[str] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)
