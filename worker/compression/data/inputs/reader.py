"""The port between a column and a model's input: rows in, numbers out."""

from typing import Any, Protocol

import numpy as np

from worker.compression.data.table import Rows
from worker.compression.ir.arrays import Array


class InputReader(Protocol):
    """Makes one input of rows. `shape` is that of one sample, None along axes that differ from row to row."""

    @property
    def column(self) -> str:
        """What it is made from, as the declaration names it."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int | None, ...]: ...

    @property
    def rows_per_sample(self) -> int:
        """1, or 2 where a pair of texts is two rows, one behind the other."""
        ...

    @property
    def unscaled(self) -> str | None:
        """The dtype of numbers that are handed on as they are; None where something is computed of them."""
        ...

    def __len__(self) -> int: ...

    def read(self, rows: Rows) -> Array:
        """The rows as [rows, *shape], padded to the longest of them where the declaration pads.

        Raises `Refusal` `not_finite`, `invalid_dataset` naming file and row.
        """
        ...

    def row_shape(self, row: int) -> tuple[int, ...] | None:
        """The shape that this row has to share with those it is read together with; None where any may be."""
        ...
