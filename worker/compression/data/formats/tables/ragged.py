"""Finds rows of different length among the arrays of an `.npz`: `x`, all rows end to end, beside `x_offsets`, int64
[rows + 1] from 0 to the length of `x`: row r is `x[x_offsets[r]:x_offsets[r + 1]]`."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from winnow.contract.errors import Refusal
from worker.compression.data.formats.tables.mapped import Ends, MappedLists
from worker.compression.data.ranges.ranged_array import RangedArray
from worker.compression.data.table import Numbers, Ragged
from worker.compression.ir.arrays import Array

OFFSETS: Final = "_offsets"


def with_ragged(arrays: Mapping[str, Array | RangedArray]) -> dict[str, Numbers | Ragged]:
    """Put arrays and their offsets together. Raises `Refusal` `invalid_dataset` for offsets that are none."""
    columns: dict[str, Numbers | Ragged] = {}
    for name, array in arrays.items():
        offsets = arrays.get(name + OFFSETS)
        if offsets is not None:
            columns[name] = _ragged(name, array, np.asanyarray(offsets))
        elif not (name.endswith(OFFSETS) and name.removesuffix(OFFSETS) in arrays):
            columns[name] = array
    return columns


def _ragged(name: str, array: Array | RangedArray, offsets: Array) -> MappedLists:
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or not len(offsets) or not array.ndim:
        raise _wrong(name, f"they are {offsets.dtype} {list(offsets.shape)}")
    offsets = np.asarray(offsets, np.int64)
    if offsets[0] != 0 or (np.diff(offsets) < 0).any() or offsets[-1] != len(array):
        raise _wrong(
            name, f"they go from {offsets[0]} to {offsets[-1]}, and {name[:80]!r} has {len(array)} entries"
        )
    return MappedLists(Ends(name, offsets[1:], np.zeros(0, np.int64)), array)


def _wrong(name: str, why: str) -> Refusal:
    return Refusal(
        "invalid_dataset",
        f"The offsets {(name + OFFSETS)[:80]!r} do not fit their array: {why}. Expected are whole numbers [rows + 1] "
        "that rise from 0 to the length of the array.",
    )
