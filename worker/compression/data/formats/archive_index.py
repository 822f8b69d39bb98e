"""Where the members of an archive lie, written down when it was inspected: to find them again, all of it would have to
be read, because a header stands before each.

    an .npz of `names`, uint8: UTF-8, a NUL behind each; and `places`, int64 [members, 5], as `Archive` has them
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from winnow.contract.errors import Refusal
from worker.compression.data.formats.npz import open_arrays
from worker.compression.data.ranges.ranged import INDEX, is_ranged, size_of

MAX_INDEX_BYTES: Final = 2**30

Places = npt.NDArray[np.int64]


def write_index(names: Sequence[str], places: Places, file: Path) -> None:
    """Write it to a file that ends in `.npz`."""
    joined = "".join(f"{name}\0" for name in names).encode()
    np.savez(file, names=np.frombuffer(joined, np.uint8), places=places)


def read_index(path: Path) -> tuple[list[str], Places] | None:
    """Return the names and places of a dataset of which not all is here; None where they are not known, and of those
    that lie outside of it."""
    file = path / INDEX
    if not is_ranged(path) or not file.is_file():
        return None
    try:
        arrays: dict[str, Any] = open_arrays(file, path, max_unpacked_bytes=MAX_INDEX_BYTES)
        names = arrays["names"].tobytes().decode().split("\0")[:-1]
        places = np.array(arrays["places"], np.int64).reshape(len(names), 5)
    except (Refusal, KeyError, ValueError):
        return None
    size = size_of(path)
    inside = (places[:, :3] >= 0).all() and (places[:, 0] <= size - places[:, 1]).all()
    return (names, places) if inside else None
