"""Leave out the rows that cannot be read, as many as the declaration allows; else say which they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import numpy as np

from winnow.contract.errors import Refusal
from worker.compression.data.table import Rows, Table

MAX_FAULTS: Final = 10
"""Faults that are told; all are counted."""


@dataclass
class Faults:
    """How many samples are no rows because of what is said of them, and why, of the first ones."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, where: str, why: str) -> None:
        """Count a sample; `where` is file and row, `why` a sentence without a full stop."""
        self.count += 1
        if len(self.named) < MAX_FAULTS:
            self.named.append(f"{where}: {why}")


@runtime_checkable
class Faulty(Protocol):
    """What can say without decoding anything which of its rows cannot be read."""

    def faults(self) -> Iterator[tuple[int, str]]: ...


@dataclass(frozen=True)
class Readable:
    """The rows that can be read, and how many cannot."""

    rows: Rows
    skipped: int


def readable_rows(table: Table, rows: int, sources: Iterable[object], skip_bad: float) -> Readable:
    """Ask all that is read for its faults. Raises `Refusal` `invalid_dataset` with the first ten of them, where they
    are more than the share `skip_bad` of all rows."""
    faults: dict[int, str] = {}
    for source in sources:
        if isinstance(source, Faulty):
            for row, why in source.faults():
                faults.setdefault(row, why)
    skipped, total = len(faults) + table.skipped, rows + table.skipped
    if skipped > skip_bad * total or skipped == total > 0:
        told = [*table.faults, *(f"row {row}: {faults[row]}" for row in sorted(faults)[:MAX_FAULTS])]
        raise Refusal(
            "invalid_dataset",
            f"{skipped} of {total} rows cannot be read, and skip_bad allows the share {skip_bad:g}: "
            f"{'; '.join(told[:MAX_FAULTS])}. Mend them, or declare a larger skip_bad to leave them out.",
        )
    if not faults:
        return Readable(range(rows), skipped)
    good = np.setdiff1d(np.arange(rows, dtype=np.int64), np.fromiter(faults, np.int64))
    return Readable(good, skipped)
