"""Labels that are texts, as they are: what a model of sequences is to spell."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.compression.data.table import Texts


@dataclass(frozen=True)
class TextLabels:
    """One text a row, read when it is needed; indexed as an array of objects is."""

    name: str
    column: Texts

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.column),)

    @property
    def ndim(self) -> int:
        return 1

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, rows: Any) -> Any:
        numbers = np.arange(len(self))[rows]
        texts = np.empty(numbers.shape, object)
        texts[...] = self.column.texts(numbers)
        return texts

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield the rows without a text."""
        missing = getattr(self.column, "missing", ())
        yield from ((int(row), f"{self.name!r} has no value") for row in missing)
