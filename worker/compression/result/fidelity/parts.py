"""The parts of an input that are weighed: patches of a picture, single numbers, or runs of them."""

from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array

GRID: Final = 12
"""Patches along each side of a picture, at most."""
MOST: Final = GRID * GRID


def parts_of(shape: tuple[int, ...], axis: int) -> Array:
    """Number the part that each element of one sample is in: int64 of this shape, without its batch axis `axis`.

    Of [C, H, W] or [H, W, C] with up to 4 channels it is patches over all channels; of all else single numbers, or runs
    of them where there are more than `MOST`.
    """
    own = tuple(size for index, size in enumerate(shape) if index != axis)
    if len(own) == 3 and 4 in (max(own[0], 4), max(own[2], 4)):
        first = own[0] <= 4
        rows, columns = (_runs(size) for size in (own[1:] if first else own[:2]))
        patches = rows[:, None] * (columns.max() + 1) + columns[None]
        return np.broadcast_to(patches[None] if first else patches[..., None], own).astype(np.int64)
    count = int(np.prod(own))
    return (np.arange(count) * min(count, MOST) // max(1, count)).reshape(own)


def grid_of(shape: tuple[int, ...], axis: int) -> tuple[int, int]:
    """How many patches there are, down and across; (1, parts) of what is no picture."""
    own = tuple(size for index, size in enumerate(shape) if index != axis)
    parts = parts_of(shape, axis)
    if len(own) == 3 and 4 in (max(own[0], 4), max(own[2], 4)):
        height, width = own[1:] if own[0] <= 4 else own[:2]
        return int(_runs(height).max() + 1), int(_runs(width).max() + 1)
    return 1, int(parts.max() + 1)


def summed(attribution: Array, parts: Array) -> Array:
    """Sum over each part: float64 [parts]."""
    return np.bincount(parts.reshape(-1), attribution.astype(np.float64).reshape(-1))


def _runs(size: int) -> Array:
    return np.arange(size) * min(size, GRID) // size
