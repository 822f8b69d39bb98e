"""One input of a model each: made from a column of the data, or the same number for every sample."""

from dataclasses import dataclass

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.array import check_finite
from worker.compression.data.inputs.reader import InputReader
from worker.compression.data.table import Rows
from worker.compression.ir.arrays import Array


@dataclass(frozen=True)
class Column:
    """One model input and what it is made from. `whole`: one row is the whole input, batch axis included. `entries`: of
    the table that the model looks the numbers up in, where it does."""

    spec: TensorSpec
    reader: InputReader
    whole: bool
    entries: int | None = None

    def feed(self, rows: Rows) -> Array:
        x = self._cast(self.reader.read(rows))
        self._check_entries(x, rows)
        check_finite(self.reader.column, x, rows)
        if self.whole:
            return np.asarray(x[0])  # the only number of a row would be no array
        axis = self.spec.batch_axis or 0
        return np.ascontiguousarray(np.moveaxis(x, 0, axis)) if axis else x

    def _check_entries(self, x: Array, rows: Rows) -> None:
        if self.entries is None or not x.size or (-self.entries <= x.min() and x.max() < self.entries):
            return
        at = int(np.argwhere((x < -self.entries) | (x >= self.entries))[0][0]) // self.reader.rows_per_sample
        raise Refusal(
            "inputs_do_not_fit",
            f"Input {self.spec.name!r} looks its numbers up in a table of {self.entries} entries, and row "
            f"{int(rows[at])} of {self.reader.column!r} gives numbers from {x.min()} to {x.max()}. They come from "
            "another vocabulary: give the data the tokenizer that the model was trained with.",
        )

    def _cast(self, x: Array) -> Array:
        dtype = np.dtype(self.spec.dtype)
        if dtype.kind in "iu" and not np.can_cast(x.dtype, dtype) and x.size:
            limits = np.iinfo(dtype)
            if int(x.min()) < limits.min or int(x.max()) > limits.max:
                raise Refusal(
                    "inputs_do_not_fit",
                    f"Input {self.spec.name!r} takes {dtype}, but {self.reader.column!r} has values from "
                    f"{x.min()} to {x.max()}.",
                )
        with np.errstate(over="ignore"):
            return np.require(x, dtype, ["C", "A"])


@dataclass(frozen=True)
class Constant:
    """An input that is the same number for every sample."""

    spec: TensorSpec
    value: int | float | bool

    def feed(self, sizes: dict[str, int], batch: int) -> Array:
        """Open dimensions follow the other inputs by name; unnamed ones are the batch in front, else 1."""
        named = [sizes.get(d) if isinstance(d, str) else d for d in self.spec.shape]
        shape = [d if d is not None else batch if axis == 0 else 1 for axis, d in enumerate(named)]
        return np.full(shape, self.value, np.dtype(self.spec.dtype))
