"""A row of the table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`asked` and `measured` in words and numbers with their units; `held_by` names a test where one holds it."""

    part: str
    item: str
    asked: str
    measured: str
    met: bool
    held_by: str = ""
