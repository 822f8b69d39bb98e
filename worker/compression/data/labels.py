"""Read labels as class numbers: whole numbers of any dtype, or one-hot ones, of which the column of the one is the
class.

One-hot are rows [N, C], or places such as pixels [N, C, …] or steps [N, …, C], with the classes along the axis that the
training names, 1 by itself.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from winnow.contract.fitting import columns
from worker.compression.data.table import Numbers
from worker.compression.ir.arrays import Array

NUMERIC_KINDS = "biuf"
MAX_EXACT_FLOAT = 2**53
"""Whole floats below this are themselves."""
VALUES_AT_A_TIME = 1 << 20
"""Of which copies are made; one row at least."""


def class_numbers(labels: Array, *, one_hot: bool = True, axis: int = 1) -> Array:
    """Return one class number for each row or place of one-hot labels (where `one_hot` allows them; of places with the
    classes along `axis`), whole floats as integers, and anything else as it is."""
    if one_hot and is_one_hot(labels, axis):
        classes = np.concatenate([_by_class(part, axis).argmax(axis=1) for part in _parts(labels)])
        places = [size for place, size in enumerate(labels.shape) if place != axis % labels.ndim]
        return classes.reshape(places if _is_dense(labels) else -1)
    return labels.astype(np.int64) if labels.dtype.kind == "f" and is_whole(labels) else labels


def is_one_hot(labels: Numbers, axis: int = 1) -> bool:
    """Whether they are rows of two columns or more (axes of length one aside), or places with two classes or more along
    `axis`, each with a single one, all else zero."""
    several = columns(labels.shape)
    if labels.dtype.kind not in NUMERIC_KINDS or not several or not len(labels):
        return False
    if len(several) > 1 and labels.shape[axis] == 1:
        return False
    return all(_one_each(_by_class(part, axis)) for part in _parts(labels))


def one_hot_axes(labels: Numbers) -> list[int]:
    """List the axes along which places are one-hot; none of rows."""
    return [axis for axis in range(1, labels.ndim) if is_one_hot(labels, axis)] if _is_dense(labels) else []


def is_whole(labels: Numbers) -> bool:
    """Whether they are integers, booleans, or floats that are integers."""
    if labels.dtype.kind != "f":
        return labels.dtype.kind in NUMERIC_KINDS
    return all(_all_whole(part) for part in _parts(labels))


def mean_classes(labels: Numbers, output: Sequence[object] | None) -> bool:
    """Whether training takes labels for classes: integers always; floats that are whole or one-hot where the output
    [N, C] or [N, C, …] has classes to choose from."""
    if labels.dtype.kind in "biu":
        return True
    if output is None or len(output) < 2 or output[1] == 1:
        return False
    single = labels[:1].size == 1 if len(output) == 2 else labels.ndim == len(output) - 1
    return (single and is_whole(labels)) or (may_be_one_hot(labels, output) and is_one_hot(labels))


def may_be_one_hot(labels: Numbers, output: Sequence[object] | None) -> bool:
    """Whether labels have the form in which they would be one-hot for an output of this shape."""
    if output is None or len(output) < 2:
        return False
    return len(columns(labels.shape)) == 1 if len(output) == 2 else labels.ndim == len(output)


def _all_whole(part: Array) -> bool:
    wide = part.astype(np.float64)
    return bool((np.abs(wide) < MAX_EXACT_FLOAT).all() and (wide == np.round(wide)).all())


def _parts(labels: Numbers) -> Iterator[Array]:
    rows = max(1, VALUES_AT_A_TIME // max(1, math.prod(labels.shape[1:])))
    return (labels[start : start + rows] for start in range(0, len(labels), rows))


def _is_dense(labels: Numbers) -> bool:
    return len(columns(labels.shape)) > 1


def _by_class(part: Array, axis: int) -> Array:
    """Reshape to [N, classes, places], one place for rows."""
    if not _is_dense(part):
        return part.reshape(len(part), -1, 1)
    return np.moveaxis(part, axis, 1).reshape(len(part), part.shape[axis], -1)


def _one_each(by_class: Array) -> bool:
    ones = by_class == 1
    return bool((ones | (by_class == 0)).all() and (ones.sum(axis=1) == 1).all())
