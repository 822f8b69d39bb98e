"""Go through a large array in parts, so that what is computed on the way takes the memory of one of them."""

from collections.abc import Iterator
from types import EllipsisType
from typing import Final

from worker.compression.ir.arrays import Array

MAX_NUMBERS: Final = 1 << 20
"""Of one part; one row of the first axis where that has more."""


def parts(array: Array) -> Iterator[slice | EllipsisType]:
    """Yield indices of the first axis that together are the array; all of it where it is small."""
    if array.size <= MAX_NUMBERS or array.ndim == 0:
        yield ...
        return
    rows = max(1, MAX_NUMBERS * len(array) // array.size)
    for begin in range(0, len(array), rows):
        yield slice(begin, begin + rows)
