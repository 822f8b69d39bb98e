"""Keep heights and widths of pictures in a file, so that headers are read once for all that is opened in a scratch."""

import contextlib
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.compression.data.scratch import Scratch

Sizes = npt.NDArray[np.int32]
"""[rows, 2]; zeros where a picture was not looked at yet."""
ROW_BYTES: Final = 8


def stored_sizes(scratch: Scratch | None, column: str, rows: int) -> Sizes:
    """Return the sizes that are known of this column; what is written to them is known from then on."""
    if scratch is None:
        return np.zeros((rows, 2), np.int32)
    path = scratch.file(f"sizes of {column}", "sizes")
    with contextlib.suppress(OSError):
        if not path.exists() or path.stat().st_size != rows * ROW_BYTES:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                bytes(rows * ROW_BYTES)
            )  # not sparse: a full disk must not end whoever writes to it
        return np.memmap(path, np.int32, "r+", shape=(rows, 2))
    return np.zeros((rows, 2), np.int32)
