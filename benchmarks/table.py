"""The table of a benchmark: its parts one after the other, each row printed as soon as it is there."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.shared_data import shared_or_exit


@dataclass(frozen=True)
class Row:
    """What most tables have."""

    part: str
    what: str
    measured: str
    asked: str = ""


def measure(title: str, columns: Sequence[str], parts: Mapping[str, Callable[[Path], Iterator[Any]]]) -> None:
    """The parts named on the command line, or all. A row is a dataclass of strings, one for each column."""
    shared_or_exit()
    table = Table(*columns, title=title)
    for column in table.columns:
        column.overflow = "fold"
    with tempfile.TemporaryDirectory() as name:
        for part in sys.argv[1:] or parts:
            for row in parts[part](Path(name)):
                table.add_row(*vars(row).values())
                print(" | ".join(vars(row).values()), flush=True)
    Console(width=170).print(table)
