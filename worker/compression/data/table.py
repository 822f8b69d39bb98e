"""What every format of datasets is read as: named columns of one length, read row by row when they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from worker.compression.ir.arrays import Array

Rows = range | npt.NDArray[np.int64]
"""Ascending row numbers."""


@runtime_checkable
class Numbers(Protocol):
    """Numbers of one shape: a mapped array, or anything that is indexed by rows as one is."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any, /) -> Any: ...


@runtime_checkable
class Ragged(Protocol):
    """Numbers whose shape differs from row to row: `shape` is that of a row, None along the axes that differ."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def row_shape(self) -> tuple[int | None, ...]: ...
    def __len__(self) -> int: ...
    def row(self, row: int, /) -> Array: ...


@runtime_checkable
class Texts(Protocol):
    """Words or sentences."""

    def __len__(self) -> int: ...
    def texts(self, rows: Rows, /) -> list[str]: ...


@dataclass(frozen=True)
class Words:
    """Texts that are in memory, such as names of files."""

    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.words)

    def texts(self, rows: Rows, /) -> list[str]:
        return [self.words[int(row)] for row in rows]


@runtime_checkable
class Files(Protocol):
    """Encoded pictures or sounds. `place` says where a row lies, for people: a member's name, or `row 7`."""

    @property
    def holds(self) -> Literal["image", "audio"]: ...
    def __len__(self) -> int: ...
    def content(self, row: int, /) -> bytes: ...
    def place(self, row: int, /) -> str: ...


@dataclass(frozen=True)
class Boxes:
    """Of each picture its objects, float32 [objects, 5]: class number, then left, top, right, bottom in pixels of the
    picture as stored, after its EXIF orientation."""

    rows: Sequence[Array]

    def __len__(self) -> int:
        return len(self.rows)


Source = Literal["folder", "column", "coco", "yolo", "voc", "masks"]
"""What the labels of pictures were read from."""
Column = Numbers | Ragged | Texts | Files | Boxes


@dataclass(frozen=True)
class Table:
    """Columns by name. `classes` name the class numbers of `boxes`, `mask` or the column `class_column` where the data
    has names for them; `tokenizer` is the `tokenizer.json` that came with the texts. `skipped` rows could not be read
    and are not among the columns; `faults` says why, of the first ten. `source` is where an archive has its labels;
    `shared` is what readers of its columns make once and share."""

    columns: dict[str, Column]
    classes: list[str] | None = None
    class_column: str = "label"
    tokenizer: bytes | None = None
    skipped: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    source: Source | None = None
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, Numbers]:
        """The columns of numbers."""
        return {name: c for name, c in self.columns.items() if isinstance(c, Numbers)}


def select(array: Numbers, rows: Rows) -> Array:
    """Return these rows; of a range a view where the array gives one."""
    selected: Array = array[rows.start : rows.stop] if isinstance(rows, range) else array[rows]
    return selected
