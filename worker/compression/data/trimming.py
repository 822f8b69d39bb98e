"""Cut padding off the values of a model that fixes the length of its rows.

In a batch of rows of one true length n, padded to the length L, everything behind n along an axis of L positions is
computed from padding, and is no data.
"""

from collections.abc import Mapping
from typing import Any


def trimmed(x: Any, rows: int, padded: Mapping[int, int], *, once: bool = False) -> Any:
    """Cut every axis of an array or a tensor that is as long as rows are padded to; only the first with `once`.

    An axis that counts the rows is none, and one that counts the positions of all rows is both.
    """
    for length, true in padded.items():
        x = _trimmed(x, rows, length, true, once)
    return x


def _trimmed(x: Any, rows: int, length: int, true: int, once: bool) -> Any:
    shape = tuple(x.shape)
    if len(shape) > 1 and rows > 1 and shape[0] == rows * length:
        parts = _trimmed(x.reshape((rows, length, *shape[1:])), rows, length, true, once)
        return parts.reshape((-1, *parts.shape[2:]))
    first = 1 if shape and shape[0] == rows else 0
    axes = [axis for axis in range(first, len(shape)) if shape[axis] == length]
    for axis in axes[:1] if once else axes:
        x = x[(slice(None),) * axis + (slice(0, true),)]
    return x
