"""What every way of annotation is read as: pictures in the order of their rows, with a column for each thing said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from worker.compression.data.readable.skipping import Faults
from worker.compression.data.table import Column, Source
from worker.compression.ir.arrays import Array


class Content(Protocol):
    """Reads a file of the archive by its name, no larger than a limit."""

    def __call__(self, name: str, *, limit: int) -> bytes: ...


@dataclass(frozen=True)
class Annotated:
    """`names` are members of the archive, one a row; `columns` have as many rows."""

    source: Source | None
    names: Sequence[str]
    columns: Mapping[str, Column]
    classes: list[str] | None = None
    faults: Faults = field(default_factory=Faults)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class FlatBoxes(Sequence[Array]):
    """Objects of all pictures in one array [objects, 5]; those of row i are from `starts[i]` to `starts[i + 1]`."""

    objects: Array
    starts: Array

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        return self.objects[self.starts[row] : self.starts[row + 1]]


def flat_boxes(rows: Sequence[Sequence[tuple[float, float, float, float, float]]]) -> FlatBoxes:
    """Put the objects of each picture behind each other."""
    objects = np.array([each for row in rows for each in row], np.float32).reshape(-1, 5)
    return FlatBoxes(objects, np.cumsum([0, *map(len, rows)]))
