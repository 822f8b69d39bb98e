"""Words that are in memory, as a column."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.compression.data.table import Rows


@dataclass(frozen=True)
class Names:
    """A word for each row."""

    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.words)

    def texts(self, rows: Rows, /) -> list[str]:
        return [self.words[int(row)] for row in rows]
