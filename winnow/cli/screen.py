"""What a person sees. Names come from others: never read as markup, control characters shown as `?`."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

PIPED_WIDTH: Final = 120


Column = tuple[str, Literal["left", "right"]]


def out() -> Console:
    """For results."""
    return _console(stderr=False)


def err() -> Console:
    """For progress and sentences."""
    return _console(stderr=True)


def say(text: str) -> None:
    err().print(clean(text), soft_wrap=True)


def print_result(text: str) -> None:
    """A result as it is, never wrapped: an id or JSON."""
    out().print(text, soft_wrap=True)


def table(
    title: str | None,
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
) -> Table:
    """Cells are plain text; the title stands above, to the left. An id stays in one piece."""
    made = Table(
        title=clean(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for name, side in columns:
        justify: JustifyMethod = side
        made.add_column(name, justify=justify, overflow="fold", no_wrap=name == "id")
    for row in rows:
        made.add_row(*(" ".join(clean(cell).split("\n")) for cell in row))
    return made


def facts(title: str, rows: Iterable[tuple[str, object]]) -> Table:
    """A table of two columns without a head."""
    made = table(title, (("", "left"), ("", "left")), rows)
    made.show_header = False
    return made


def clean(text: object) -> str:
    """Printable: an escape sequence in a name must not reach the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text))


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)
