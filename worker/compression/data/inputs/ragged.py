"""Turn rows of different shape into a model's input: each as an array's rows are, then padded where it is declared."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from winnow.contract.declaration import ArrayInput
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.array import (
    NUMERIC,
    calculates,
    check_finite,
    made,
    preprocess,
    unscaled_like,
)
from worker.compression.data.inputs.padding import Width, longest, padded
from worker.compression.data.table import Numbers, Ragged, Rows
from worker.compression.ir.arrays import Array

ANY: Final = 999_983
"""Stands for an axis that differs from row to row while shapes are computed."""
NO_MEMORY: Final = np.zeros((), bool)


@dataclass(frozen=True)
class Lengthened:
    """Padded rows whose true `lengths` lie beside them: rows of different length after all."""

    array: Numbers
    lengths: Array

    def __len__(self) -> int:
        return len(self.array)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        return (None, *self.array.shape[2:])

    def row(self, row: int) -> Array:
        length = int(self.lengths[row])
        if not 0 <= length <= self.array.shape[1]:
            raise Refusal(
                "invalid_dataset",
                f"Row {row} is said to have the length {length}; the array has room for {self.array.shape[1]}.",
            )
        return np.asarray(self.array[row][:length])


@dataclass(frozen=True)
class RaggedReader:
    """Lists of numbers, each as the declaration makes it. `fixed` are the sizes that the model fixes."""

    lists: Ragged
    how: ArrayInput
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    fixed: tuple[int | None, ...] | None = None
    by_true_shape: bool = False
    rows_per_sample: int = 1

    @property
    def column(self) -> str:
        return self.how.array

    @property
    def unscaled(self) -> str | None:
        return None if calculates(self.how) else self.lists.dtype.name

    def __len__(self) -> int:
        return len(self.lists)

    def read(self, rows: Rows) -> Array:
        """Raises `Refusal` `not_finite`; `inputs_do_not_fit` naming a row that is longer than it may be."""
        made_rows = [self._row(int(row)) for row in rows]
        shape = self._target([row.shape for row in made_rows])
        for number, row in zip(rows, made_rows, strict=True):
            if any(length > size for length, size in zip(row.shape, shape, strict=True)) or self._unfit(
                row.shape
            ):
                raise self._too_large(int(number), row.shape, shape)
        return padded(made_rows, shape, self.dtype)

    def row_shape(self, row: int) -> tuple[int, ...] | None:
        return self.true_shape(row) if self.by_true_shape or self.how.pad_to is None else None

    def true_shape(self, row: int) -> tuple[int, ...]:
        raw = np.broadcast_to(NO_MEMORY, (1, *self.lists.row(row).shape))
        return tuple(preprocess(raw, unscaled_like(self.how)).shape[1:])

    def unpadded(self) -> "RaggedReader":
        how = self.how.model_copy(update={"pad_to": None}) if self.fixed is None else self.how
        return replace(self, by_true_shape=True, how=how)

    def for_model(self, spec: TensorSpec) -> "RaggedReader":
        """Return the same for a model that takes this input, and may fix sizes that differ here."""
        sizes = list(spec.shape)
        if len(sizes) != len(self.shape) + 1:
            return self  # it does not fit, which is for the caller to say
        del sizes[spec.batch_axis or 0]
        fixed = tuple(
            size if isinstance(size, int) and own is None else None
            for size, own in zip(sizes, self.shape, strict=True)
        )
        return replace(self, fixed=fixed) if any(fixed) else self

    def _row(self, row: int) -> Array:
        raw = self.lists.row(row)[None]
        check_finite(self.how.array, raw, [row])
        with np.errstate(over="ignore"):  # what overflows is named by the input's column
            made_row: Array = preprocess(raw, self.how)[0]
        return made_row

    def _target(self, shapes: list[tuple[int, ...]]) -> list[int]:
        """The shape that rows of these shapes are padded to; that of the first where nothing is declared."""
        pad_to = self.how.pad_to
        width = Width(fixed=pad_to if isinstance(pad_to, int) else None)
        most = list(shapes[0]) if pad_to is None else longest(shapes)
        if pad_to is None:
            return most
        fixed = self.fixed or (None,) * len(most)
        return [
            n if own is not None else width.of(n) if size is None else size
            for size, n, own in zip(fixed, most, self.shape, strict=True)
        ]

    def _unfit(self, shape: tuple[int, ...]) -> bool:
        """Whether the model fixes another size, and nothing is declared to be padded."""
        sizes = zip(self.fixed or (), shape, strict=False)
        return self.how.pad_to is None and any(fixed not in (None, size) for fixed, size in sizes)

    def _too_large(self, row: int, shape: tuple[int, ...], most: list[int]) -> Refusal:
        return Refusal(
            "inputs_do_not_fit",
            f"Row {row} of {self.column!r} has the shape {list(shape)}; taken are {list(self.fixed or most)}. Declare "
            "pad_to for rows that are shorter, and leave out longer ones.",
        )


def lengthened(name: str, array: Numbers, lengths: Array) -> Lengthened:
    """Put padded rows and their true lengths together. Raises `Refusal` `invalid_declaration`."""
    if array.ndim < 2 or lengths.dtype.kind not in "iu" or lengths.shape != (len(array),):
        raise Refusal(
            "invalid_declaration",
            f"Input {name!r}: lengths should be a whole number for each row of an array of two axes or more; they are "
            f"{lengths.dtype} {list(lengths.shape)} for {list(array.shape)}.",
            field=f"declaration.inputs.{name}.lengths",
        )
    return Lengthened(array, lengths)


def ragged_reader(name: str, lists: Ragged, how: ArrayInput) -> RaggedReader:
    """Make the reader of one declared input. Raises `Refusal` `invalid_declaration` when it cannot be made."""
    if lists.dtype.kind not in NUMERIC:
        raise Refusal(
            "invalid_declaration",
            f"Input {name!r}: array {how.array!r} is {lists.dtype}, expected numbers.",
            field=f"declaration.inputs.{name}",
        )
    sizes = [ANY if size is None else size for size in lists.row_shape]
    dtype, shape = made(name, np.broadcast_to(np.zeros((), lists.dtype), (1, *sizes)), how)
    return RaggedReader(lists, how, dtype, tuple(None if size == ANY else size for size in shape))
