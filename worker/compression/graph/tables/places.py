"""Tells positions and segments, which say where something stands, from words, which say what it is.

rows of several numbers   they rise by 0 or 1 from one to the next in each row, up to padding of one number behind
rows of one number        as of a decoder's single steps: from sample to sample they rise by 0 or 1, or begin anew
                          further down, which is no more often than they rise; samples in another order do not tell,
                          and the input's name does: it speaks of positions
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array

POSITION: Final = "position"
"""In the names of inputs: `position_ids`, `cache_position`."""


@dataclass
class Numbers:
    """The numbers of the input `name`, batch by batch: those of rows of one number as they go from sample to sample."""

    name: str
    in_rows: bool | None = None
    last: int | None = None
    rises: int = 0
    falls: int = 0
    jumps: int = 0
    samples: int = 0

    def add(self, x: Array) -> None:
        """Look at the next samples, [samples, …, length]."""
        if any(size > 1 for size in x.shape[1:]):
            self.in_rows = self.in_rows is not False and counts_places(x)
            return
        numbers = x.reshape(-1).astype(np.int64)
        steps = np.diff(numbers, prepend=numbers[:1] if self.last is None else [self.last])
        self.samples += len(numbers)
        self.rises += int((steps == 1).sum())
        self.jumps += int((steps > 1).sum())
        self.falls += int((steps < 0).sum())
        self.last = int(numbers[-1]) if len(numbers) else self.last

    @property
    def count_places(self) -> bool:
        """Whether they say where something stands. Rows of several numbers tell, where there are any."""
        if self.in_rows is not None:
            return self.in_rows
        in_order = self.samples > 1 and not self.jumps and self.falls <= self.rises
        return in_order or POSITION in self.name.lower()


def counts_places(x: Array) -> bool:
    """Whether in each row of an input [samples, …, length] the numbers rise by 0 or 1 from one to the next, up to
    padding of one number behind. False for rows of one number."""
    sizes = [size for size in x.shape[1:] if size > 1]
    if not sizes:
        return False
    steps = np.diff(x.reshape(-1, sizes[-1]).astype(np.int64), axis=1)
    moves = steps != 0
    later = np.flip(np.cumsum(np.flip(moves, 1), 1), 1)
    is_padding = (later == 1) & (np.arange(steps.shape[1]) > 0)
    return bool(((steps == 0) | (steps == 1) | is_padding).all())
