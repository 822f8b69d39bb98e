"""What people read of a sample: its texts, or the values of its columns."""

from typing import Final

import numpy as np

from winnow.contract.declaration import TableInput, TextInput
from worker.compression.data.table import Numbers, Texts
from worker.compression.result.page.looking.pair import Pair

MOST: Final = 200
"""Characters of a text, and of a row."""
COLUMNS: Final = 12


def worded(pair: Pair, row: int) -> str:
    """Empty where the inputs are neither texts nor columns of a table."""
    for how in pair.declaration.inputs.values():
        if isinstance(how, TextInput):
            return _short(" | ".join(_value(pair, name, row) for name in how.columns))
        if isinstance(how, TableInput):
            return _short(", ".join(f"{name} {_value(pair, name, row)}" for name in how.columns[:COLUMNS]))
    return ""


def _value(pair: Pair, name: str, row: int) -> str:
    match pair.table.columns.get(name):
        case Texts() as column:
            return _short(column.texts(range(row, row + 1))[0])
        case Numbers() as column:
            return f"{np.asarray(column[row : row + 1]).reshape(-1)[0]:g}"
        case _:
            return "-"


def _short(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"
