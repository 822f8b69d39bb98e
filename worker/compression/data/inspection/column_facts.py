"""Describe the columns of a table: type, shape and range, in constant memory."""

import math

import numpy as np

from winnow.contract.dataset import ArrayFacts
from worker.compression.data.formats.tables.mapped import MappedLists
from worker.compression.data.inputs.array import NUMERIC
from worker.compression.data.labels import is_one_hot, is_whole, one_hot_axes
from worker.compression.data.readable.files import MASK, Checked, Size
from worker.compression.data.table import Boxes, Column, Files, Table, Texts
from worker.compression.ir.arrays import Array

CHUNK = 1 << 20
"""Elements read at a time."""


def column_facts(table: Table, checked: Checked | None = None) -> dict[str, ArrayFacts]:
    """Describe every column; of pictures what was seen when they were `checked`."""
    sizes = checked.sizes if checked is not None else {}
    facts = {name: _column(column, sizes.get(name, set())) for name, column in table.columns.items()}
    if isinstance(table.columns.get(MASK), Files):
        facts[MASK] = _described("uint8", [len(table.columns[MASK]), None, None], whole=True)
    return facts


def _column(column: Column, sizes: set[Size]) -> ArrayFacts:
    match column:
        case np.ndarray():
            return numbers_facts(column)
        case MappedLists():
            return _list_facts(column)
        case Boxes():
            return _described("boxes", [len(column), None, 5])
        case Files():
            height, width = next(iter(sizes)) if len(sizes) == 1 else (None, None)
            rest = [height, width, 3] if column.holds == "image" else [None]
            return _described(column.holds, [len(column), *rest])
        case Texts():
            return _described("text", [len(column)])
        case _:
            row = getattr(column, "row_shape", ())
            return _described(column.dtype.name, [len(column), *row])


def _described(dtype: str, shape: list[int | None], whole: bool | None = None) -> ArrayFacts:
    return ArrayFacts(
        dtype=dtype, shape=shape, min=None, max=None, finite=True, first_not_finite=None, whole=whole
    )


def _list_facts(lists: MappedLists) -> ArrayFacts:
    """Describe the numbers of all rows; what is not finite first is an index into its row."""
    facts = numbers_facts(np.asanyarray(lists.values))
    first = facts.first_not_finite
    if first is not None:
        row = int(np.searchsorted(lists.at.ends, first[0], side="right"))
        first = [row, first[0] - int(lists.at.span(row).start), *first[1:]]
    shape = [len(lists), *lists.row_shape]
    unknown = dict.fromkeys(("one_hot", "one_hot_axes"))
    return facts.model_copy(update={"shape": shape, "first_not_finite": first, **unknown})


def numbers_facts(array: Array) -> ArrayFacts:
    """Describe type, shape and range of an array, read piece by piece."""
    low, high, first = _range(array) if array.dtype.kind in NUMERIC else (math.inf, -math.inf, None)
    axes = one_hot_axes(array) if (low, high) == (0, 1) else []
    return ArrayFacts(
        dtype=array.dtype.name,
        shape=list(array.shape),
        min=low if low <= high else None,
        max=high if low <= high else None,
        finite=first is None,
        first_not_finite=first,
        whole=low <= high and first is None and is_whole(array),
        one_hot=1 in axes or ((low, high) == (0, 1) and is_one_hot(array)),
        one_hot_axes=axes,
    )


def _range(array: Array) -> tuple[float, float, list[int] | None]:
    """Find the smallest and largest finite value, and the index (in storage order) of the first not finite."""
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    flat = array.reshape(-1, order=order)  # type: ignore[call-overload]
    low, high, first = math.inf, -math.inf, None
    for start in range(0, flat.size, CHUNK):
        chunk = flat[start : start + CHUNK]
        finite = np.isfinite(chunk)
        if first is None and not finite.all():
            at = start + int(np.argmin(finite))
            first = [int(i) for i in np.unravel_index(at, array.shape, order=order)]  # type: ignore[call-overload]
        good = chunk if finite.all() else chunk[finite]
        if good.size:
            low, high = min(low, float(good.min())), max(high, float(good.max()))
    return low, high, first
