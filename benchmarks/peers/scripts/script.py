"""What the peers' scripts share. They run in environments without Winnow: numpy and the standard library only.

    python SCRIPT model.onnx calibration.npz out.onnx preset

The last line printed is JSON: seconds from the model's file to the answer's, imports left out; the whole process'
peak of resident memory in bytes, and what of it was there before the work.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


class Rows:
    """One sample at a time, under the names of the model's inputs; `get_next` as ONNX Runtime's readers have it."""

    def __init__(self, archive: str) -> None:
        with np.load(archive) as opened:
            self.arrays = {name: opened[name] for name in opened.files}
        self.rewind()

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return ({name: x[row : row + 1] for name, x in self.arrays.items()} for row in range(len(self)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)

    def rewind(self) -> None:
        self._rows = iter(self)


def main(quantize: Callable[[str, Rows, str, str], None]) -> None:
    model, archive, out, preset = sys.argv[1:]
    before = _peak()
    begun = time.monotonic()
    quantize(model, Rows(archive), out, preset)
    seconds = time.monotonic() - begun
    told = {"seconds": seconds, "peak_bytes": _peak(), "before_bytes": before, "notes": []}
    print(f"\n{json.dumps(told)}")  # a progress bar may have left its line open


def _peak() -> int:
    """Not getrusage's, which a process inherits from the one that started it."""
    told = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in told.splitlines() if line.startswith("VmHWM")).split()[1])
