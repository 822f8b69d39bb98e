"""Keep decoded rows in a sparse file, so that an epoch or another trial does not decode them again.

    a byte for each row, 1 where its pixels are there · then the pixels, uint8 [rows, height, width, channels]

Pixels are written before their byte. What the disk has no room for is decoded again each time. The file is opened for
each row: no reader has to be closed.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.compression.data.scratch import Scratch

Pixels = npt.NDArray[np.uint8]
PRESENT: Final = b"\1"
SUFFIX: Final = "rows"


class DecodedRows:
    """Rows of one shape, by number. Any thread may read and write, each row of its own."""

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...]) -> None:
        self._path, self._rows, self._shape, self._row_bytes = path, rows, shape, int(np.prod(shape))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with path.open("rb") as file:
            self._present = bytearray(file.read(rows).ljust(rows, b"\0"))

    def read(self, row: int) -> Pixels | None:
        """The row; None where it was not written."""
        if not self._present[row]:
            return None
        with self._path.open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), self._row_bytes, self._at(row))
        return np.frombuffer(content, np.uint8).reshape(self._shape)

    def write(self, row: int, pixels: Pixels) -> None:
        """Keep the row, where there is room."""
        with contextlib.suppress(OSError), self._path.open("r+b", buffering=0) as file:
            if os.pwrite(file.fileno(), pixels.tobytes(), self._at(row)) == self._row_bytes:
                os.pwrite(file.fileno(), PRESENT, row)
                self._present[row] = 1

    def _at(self, row: int) -> int:
        return self._rows + row * self._row_bytes


def decoded_rows(scratch: Scratch, how: str, rows: int, shape: tuple[int, ...]) -> DecodedRows | None:
    """Return the rows of what is decoded in this way; None where all such files could outgrow the scratch together."""
    path = scratch.file(f"{rows} rows, {how}", SUFFIX)
    size = rows * (1 + int(np.prod(shape)))
    others = sum(other.stat().st_size for other in scratch.folder.glob(f"*.{SUFFIX}") if other != path)
    return DecodedRows(path, rows, shape) if size + others <= scratch.max_bytes else None
