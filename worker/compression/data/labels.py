"""Labels as class numbers: whole numbers of any dtype, or one-hot rows, of which the column of the one is the class."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NUMBERS = "biuf"
EXACT = 2**53
"""Whole floats below this are themselves."""
ROWS = 1 << 16
"""Looked at together."""


def class_numbers(labels: Array, *, one_hot: bool = True) -> Array:
    """One class number for each row of one-hot labels (where `one_hot` allows them), whole floats as integers, and
    anything else as it is."""
    if one_hot and is_one_hot(labels):
        return np.concatenate([_rows(part).argmax(axis=1) for part in _parts(labels)])
    return labels.astype(np.int64) if labels.dtype.kind == "f" and is_whole(labels) else labels


def is_one_hot(labels: Array) -> bool:
    """Rows of two columns or more (axes of length one aside), each with a single one, all else zero."""
    columns = [d for d in labels.shape[1:] if d != 1]
    if labels.dtype.kind not in NUMBERS or len(columns) != 1 or not len(labels):
        return False
    return all(_one_each(_rows(part)) for part in _parts(labels))


def is_whole(labels: Array) -> bool:
    """Integers, booleans, or floats that are integers."""
    if labels.dtype.kind != "f":
        return labels.dtype.kind in NUMBERS
    return all(_all_whole(part) for part in _parts(labels))


def mean_classes(labels: Array, output: tuple[object, ...] | None) -> bool:
    """Whether training takes labels for classes: integers always; floats that are whole or one-hot where the output
    [N, C] has classes to choose from."""
    if labels.dtype.kind in "biu":
        return True
    classes = output is not None and len(output) == 2 and output[1] != 1
    return classes and (is_one_hot(labels) or (labels[:1].size == 1 and is_whole(labels)))


def _all_whole(part: Array) -> bool:
    wide = part.astype(np.float64)
    return bool((np.abs(wide) < EXACT).all() and (wide == np.round(wide)).all())


def _parts(labels: Array) -> list[Array]:
    return [labels[start : start + ROWS] for start in range(0, len(labels), ROWS)]


def _rows(part: Array) -> Array:
    return part.reshape(len(part), -1)


def _one_each(rows: Array) -> bool:
    ones = rows == 1
    return bool((ones | (rows == 0)).all() and (ones.sum(axis=1) == 1).all())
