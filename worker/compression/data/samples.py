"""Read rows of one opened dataset as feeds for one model; arrays stay mapped, one batch is in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from winnow.contract.dataset import InputDeclaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.labels import class_numbers
from worker.compression.data.preprocess import preprocess
from worker.compression.ir.values import Array

Rows = range | Array
"""Ascending row numbers of the arrays."""


@dataclass(frozen=True)
class Column:
    """One model input and the array it is made from. `whole`: one row is the whole input, batch axis included."""

    spec: TensorSpec
    array: Array
    how: InputDeclaration
    whole: bool

    def feed(self, rows: Rows) -> Array:
        raw = _select(self.array, rows)
        with np.errstate(over="ignore"):  # what overflows is found and named below
            x = self._cast(preprocess(raw, self.how))
        self._check_finite(raw, x, rows)
        if self.whole:
            return np.asarray(x[0])  # the only number of a row would be no array
        axis = self.spec.batch_axis or 0
        return np.ascontiguousarray(np.moveaxis(x, 0, axis)) if axis else x

    def _check_finite(self, raw: Array, x: Array, rows: Rows) -> None:
        for values in (raw, x):
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                row, *rest = np.argwhere(~np.isfinite(values))[0].tolist()
                where = [int(rows[row]), *rest]
                raise Refusal(
                    "not_finite",
                    f"Array {self.how.array!r} gives NaN or infinity at {where} for input "
                    f"{self.spec.name!r}. Remove such samples, or choose a slice without them.",
                )

    def _cast(self, x: Array) -> Array:
        dtype = np.dtype(self.spec.dtype)
        if dtype.kind in "iu" and not np.can_cast(x.dtype, dtype) and x.size:
            limits = np.iinfo(dtype)
            if int(x.min()) < limits.min or int(x.max()) > limits.max:
                raise Refusal(
                    "inputs_do_not_fit",
                    f"Input {self.spec.name!r} takes {dtype}, but array {self.how.array!r} has values from "
                    f"{x.min()} to {x.max()}.",
                )
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


@dataclass(frozen=True)
class Samples:
    """`len()` rows; `fixed_batch` is the only batch size that the model takes, None when it is free."""

    columns: tuple[Column, ...]
    constants: tuple[Constant, ...]
    targets: Array | None
    rows: Rows
    fixed_batch: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        return [c.spec.name for c in self.columns] + [c.spec.name for c in self.constants]

    @property
    def shapes(self) -> dict[str, list[int]]:
        """Shapes of the inputs, as one row has them."""
        return {name: list(x.shape) for name, x in next(self.take(1).batches(1)).items()}

    @property
    def labels(self) -> Array | None:
        """Row by row in the order of `batches`; None without a target."""
        return None if self.targets is None else _select(self.targets, self.rows)

    def with_class_numbers(self, *, one_hot: bool = True) -> "Samples":
        """Return the same samples with labels that are class numbers, where they can be read as such."""
        if self.targets is None:
            return self
        return replace(self, targets=class_numbers(self.targets, one_hot=one_hot))

    def batches(self, size: int) -> Iterator[dict[str, Array]]:
        """Yield feeds of `size` rows in order, the last one shorter; of `fixed_batch` rows where the model fixes it.

        Raises `not_finite` naming array and index, `inputs_do_not_fit` when integers exceed the input's dtype.
        """
        yield from (feed for feed, _ in self.counted_batches(size))

    def counted_batches(self, size: int) -> Iterator[tuple[dict[str, Array], int]]:
        """Yield the same, each with the number of its rows: no axis of the feeds has to tell it."""
        size = self.fixed_batch or size
        for start in range(0, len(self), size):
            rows = self.rows[start : start + size]
            yield self._feed(rows), len(rows)

    def at(self, rows: Array) -> tuple[dict[str, Array], Array | None]:
        """Return feeds and labels of these ascending rows of the arrays. Raises like `batches`."""
        return self._feed(rows), None if self.targets is None else _select(self.targets, rows)

    def _feed(self, rows: Rows) -> dict[str, Array]:
        feeds = {column.spec.name: column.feed(rows) for column in self.columns}
        sizes = dict(_sizes((column.spec, feeds[column.spec.name]) for column in self.columns))
        return feeds | {c.spec.name: c.feed(sizes, len(rows)) for c in self.constants}

    def draw(self, n: int, seed: int) -> "Samples":
        """Draw `n` rows chosen without replacement, in ascending order; all of them when there are no more."""
        if n >= len(self):
            return self
        chosen = np.random.default_rng(seed).choice(len(self), self._full(n), replace=False)
        return replace(self, rows=np.asarray(self.rows)[np.sort(chosen)])

    def take(self, n: int) -> "Samples":
        """Take the first `n` rows, or all."""
        return replace(self, rows=self.rows[: self._full(n)])

    def _full(self, n: int) -> int:
        """Round down to whole batches where the model fixes their size, and at least one."""
        batch = self.fixed_batch or 1
        return max(batch, n - n % batch)


def _select(array: Array, rows: Rows) -> Array:
    if isinstance(rows, range):
        return array[rows.start : rows.stop]
    return array[rows]


def _sizes(feeds: Iterable[tuple[TensorSpec, Array]]) -> Iterator[tuple[str, int]]:
    for spec, x in feeds:
        yield from ((d, n) for d, n in zip(spec.shape, x.shape, strict=True) if isinstance(d, str))
