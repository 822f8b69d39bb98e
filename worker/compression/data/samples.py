"""Read rows of one opened dataset as feeds for one model; arrays stay mapped, one batch is in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.padding import PaddingReader, unpadded_reader
from worker.compression.data.labels import class_numbers
from worker.compression.data.model_inputs import Column, Constant
from worker.compression.data.table import Numbers, Rows, select
from worker.compression.ir.arrays import Array

RowShapes = tuple[tuple[int, ...] | None, ...]
"""Of one row in each column; None where it does not matter."""


@dataclass(frozen=True)
class Fed:
    """One batch of `rows` samples. `padded` goes from the length that the model fixes to the true one, where rows had
    to be padded to it: positions behind that are no data."""

    feeds: dict[str, Array]
    rows: int
    padded: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """`len()` samples; `fixed_batch` is how many of them at a time the model takes, None when it is free.

    All that counts here counts samples: of a pair of texts that are two rows of a feed, one behind the other, there is
    one label, and `rows_per_sample` is 2. `sequences` says of each row of the arrays which sound it is a window of, or
    which group it is in. Where rows differ in shape, `batches` and `labels` go through them ordered by
    shape, so that batches are full.
    """

    columns: tuple[Column, ...]
    constants: tuple[Constant, ...]
    targets: Numbers | None
    rows: Rows
    fixed_batch: int | None = None
    sequences: Array | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        return [c.spec.name for c in self.columns] + [c.spec.name for c in self.constants]

    @property
    def rows_per_sample(self) -> int:
        return max((column.reader.rows_per_sample for column in self.columns), default=1)

    @property
    def shapes(self) -> dict[str, list[int]]:
        """Shapes of the inputs, as one row has them."""
        feed = next(self.take(1).batches(1))
        shapes = {name: list(x.shape) for name, x in feed.items()}
        for column in self.columns:
            if self.rows_per_sample > 1 and not column.whole:
                shapes[column.spec.name][column.spec.batch_axis or 0] = 1
        return shapes

    @property
    def labels(self) -> Array | None:
        """Sample by sample in the order of `batches`; None without a target."""
        return None if self.targets is None else select(self.targets, self.ordered_rows)

    @cached_property
    def groups(self) -> list[Rows]:
        """The rows, those of one shape together, shorter ones first; in their own order where shapes do not matter."""
        if not len(self) or all(shape is None for shape in self._row_shapes(int(self.rows[0]))):
            return [self.rows]
        by_shape: dict[RowShapes, list[int]] = {}
        for row in self.rows:
            by_shape.setdefault(self._row_shapes(int(row)), []).append(int(row))
        return [np.array(by_shape[shapes], np.int64) for shapes in sorted(by_shape, key=_in_order)]

    @property
    def ordered_rows(self) -> Rows:
        """The rows in the order of `batches`."""
        return self.groups[0] if len(self.groups) == 1 else np.concatenate(self.groups)

    def unpadded(self) -> "Samples":
        """Return the same rows for what must not see padding: those of one true length are fed together, and padded
        only to a length that the model fixes. Both texts of a pair are samples then, without the label of the pair."""
        if not any(isinstance(column.reader, PaddingReader) for column in self.columns):
            return self
        columns = tuple(replace(column, reader=unpadded_reader(column.reader)) for column in self.columns)
        same = replace(self, columns=columns)
        if self.rows_per_sample == 1:
            return same
        rows = np.stack([np.asarray(self.rows) * 2, np.asarray(self.rows) * 2 + 1], axis=1).reshape(-1)
        return replace(same, targets=None, rows=rows, fixed_batch=self.fixed_batch and 2 * self.fixed_batch)

    def with_class_numbers(self, *, one_hot: bool = True, axis: int = 1) -> "Samples":
        """Return the same samples with labels that are class numbers, where they can be read as such; of one-hot places
        with the classes along `axis`."""
        if not isinstance(self.targets, np.ndarray):  # boxes and masks are made when they are read
            return self
        return replace(self, targets=class_numbers(self.targets, one_hot=one_hot, axis=axis))

    def batches(self, size: int) -> Iterator[dict[str, Array]]:
        """Yield feeds of `size` rows in order, the last one shorter; of `fixed_batch` rows where the model fixes it.

        Raises `not_finite` naming array and index, `inputs_do_not_fit` when integers exceed the input's dtype.
        """
        yield from (feed for feed, _ in self.counted_batches(size))

    def counted_batches(self, size: int) -> Iterator[tuple[dict[str, Array], int]]:
        """Yield the same, each with the number of its samples: no axis of the feeds has to tell it."""
        yield from ((fed.feeds, fed.rows) for fed in self.fed_batches(size))

    def fed_batches(self, size: int) -> Iterator[Fed]:
        """Yield the same with what is padding in each.

        Only where the model fixes a batch of several samples may these differ in shape, as far as they are padded.
        """
        size = self.fixed_batch or size
        for group in self.groups if size == 1 or self.fixed_batch is None else [self.ordered_rows]:
            for start in range(0, len(group), size):
                yield self._fed(group[start : start + size])

    def _padded(self, feeds: dict[str, Array], longest: int) -> dict[int, int]:
        """Say which lengths are how long in truth, in a batch of rows of one true length, or of which this is the
        longest."""
        padded: dict[int, int] = {}
        for column in self.columns:
            reader = column.reader
            if isinstance(reader, PaddingReader) and reader.row_shape(longest) is not None:
                sizes = list(feeds[column.spec.name].shape)
                if not column.whole:
                    del sizes[column.spec.batch_axis or 0]
                pairs = zip(sizes, reader.true_shape(longest), strict=True)
                padded |= {size: length for size, length in pairs if size != length}
        return padded

    def _row_shapes(self, row: int) -> RowShapes:
        return tuple(column.reader.row_shape(row) for column in self.columns)

    def at(self, rows: Array) -> tuple[Fed, Array | None]:
        """Return feeds and labels of these rows of the arrays, which are of one shape. Raises like `batches`."""
        return self._fed(rows), None if self.targets is None else select(self.targets, rows)

    def _fed(self, rows: Rows) -> Fed:
        feeds = self._feed(rows)
        return Fed(feeds, len(rows), self._padded(feeds, int(rows[-1])))

    def _feed(self, rows: Rows) -> dict[str, Array]:
        feeds = {column.spec.name: column.feed(rows) for column in self.columns}
        sizes = dict(_sizes((column.spec, feeds[column.spec.name]) for column in self.columns))
        return feeds | {c.spec.name: c.feed(sizes, len(rows) * self.rows_per_sample) for c in self.constants}

    def draw(self, n: int, seed: int) -> "Samples":
        """Draw `n` rows chosen without replacement, in ascending order; all of them when there are no more."""
        if n >= len(self):
            return self
        chosen = np.random.default_rng(seed).choice(len(self), self._full(n), replace=False)
        return replace(self, rows=np.asarray(self.rows)[np.sort(chosen)])

    def largest(self) -> "Samples":
        """Take one batch of what is largest where rows differ: by it memory is measured."""
        return replace(self, rows=self.groups[-1]).take(1)

    @property
    def is_ragged(self) -> bool:
        """Whether rows differ in the shape in which they are fed."""
        return len(self.groups) > 1

    def take(self, n: int) -> "Samples":
        """Take the first `n` rows, or all."""
        return replace(self, rows=self.rows[: self._full(n)])

    def with_rows(self, rows: Rows) -> "Samples":
        """Return these rows of the arrays."""
        return replace(self, rows=rows)

    def _full(self, n: int) -> int:
        """Round down to whole batches where the model fixes their size, and at least one."""
        batch = self.fixed_batch or 1
        return max(batch, n - n % batch)


def _in_order(shapes: RowShapes) -> list[tuple[int, ...]]:
    return [shape or () for shape in shapes]


def _sizes(feeds: Iterable[tuple[TensorSpec, Array]]) -> Iterator[tuple[str, int]]:
    for spec, x in feeds:
        yield from ((d, n) for d, n in zip(spec.shape, x.shape, strict=True) if isinstance(d, str))
