"""Collect what is wrong with single samples, and decide whether the dataset can do without them."""

from dataclasses import dataclass, field, replace
from typing import Final

from winnow.contract.errors import Refusal
from worker.compression.data.table import Table

MAX_NAMED: Final = 10


@dataclass
class Faults:
    """How many samples cannot be used, and why, of the first ten."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, where: str, why: str) -> None:
        """Count a sample; `where` is file and row, `why` a sentence without a full stop."""
        self.count += 1
        if len(self.named) < MAX_NAMED:
            self.named.append(f"{where}: {why}")


def with_faults(table: Table, faults: Faults) -> Table:
    """Return the table with these among its faults."""
    named = [*table.faults, *faults.named][:MAX_NAMED]
    return replace(table, skipped=table.skipped + faults.count, faults=named)


def check_faults(table: Table, skip_bad: float) -> None:
    """Refuse with `invalid_dataset` when a larger share than `skip_bad` cannot be used."""
    samples = table.skipped + max(map(len, table.columns.values()), default=0)
    if table.skipped <= skip_bad * samples:
        return
    first = "" if table.skipped <= len(table.faults) else f", the first {len(table.faults)} of which are"
    raise Refusal(
        "invalid_dataset",
        f"{table.skipped} of {samples} samples cannot be used{first}: {'; '.join(table.faults)}. Mend them or leave "
        f"them out, or declare skip_bad, the share that may be skipped ({table.skipped / samples:.2g} here).",
    )
