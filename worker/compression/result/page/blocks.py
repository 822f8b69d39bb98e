"""What a section is made of. The template draws each kind and escapes every text in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from worker.compression.result.page.marks import Drawing

Tone = Literal["", "good", "bad", "quiet"]


@dataclass(frozen=True)
class Cell:
    """One of a table; `kind` is a class of the style sheet, `tip` the whole text where `text` is short for it."""

    text: str
    tone: Tone = ""
    tip: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Paragraph:
    """`lead` comes before the text, and says most."""

    text: str
    tone: Tone = ""
    lead: str = ""
    block: str = "paragraph"


@dataclass(frozen=True)
class Listing:
    items: Sequence[str]
    block: str = "listing"


@dataclass(frozen=True)
class Table:
    """`numbers`: from which column on there are numbers; `texts`: in so many at the end words again."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    numbers: int = 1
    caption: str = ""
    texts: int = 0
    block: str = "table"


@dataclass(frozen=True)
class Figure:
    drawing: Drawing
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Side by side where there is room. `legend` goes from classes of the style sheet to what they stand for."""

    figures: Sequence[Figure]
    legend: Sequence[tuple[str, str]] = ()
    block: str = "figures"


@dataclass(frozen=True)
class Code:
    text: str
    title: str = ""
    block: str = "code"


@dataclass(frozen=True)
class Tile:
    """One figure that matters, with its change."""

    name: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Tiles:
    tiles: Sequence[Tile]
    block: str = "tiles"


@dataclass(frozen=True)
class Card:
    """A sample: `picture` is a PNG as a data URI, made here; `drawing` lies over it."""

    lines: Sequence[str]
    picture: str = ""
    drawing: Drawing | None = None


@dataclass(frozen=True)
class Gallery:
    cards: Sequence[Card]
    block: str = "gallery"


@dataclass(frozen=True)
class Folded:
    """Behind a line that opens it; printed with the rest."""

    summary: str
    blocks: "Sequence[Block]"
    block: str = "folded"


Block = Paragraph | Listing | Table | Figures | Code | Tiles | Gallery | Folded


@dataclass(frozen=True)
class Section:
    """`name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)
