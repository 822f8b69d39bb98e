"""Opens a single array, `.npy`, memory-mapped: a table of one column, `x`."""

from pathlib import Path
from typing import Final

from winnow.contract.errors import Refusal
from worker.compression.data.formats.npy_header import BadHeader, HoldsPickles, read_header
from worker.compression.data.formats.npz import mapped
from worker.compression.data.ranges.ranged import opened, size_of
from worker.compression.data.ranges.ranged_array import RangedArray
from worker.compression.ir.arrays import Array

NAME: Final = "x"
"""What the array is called: a file of one array does not name it."""


def open_array(path: Path) -> Array | RangedArray:
    """Refuses with `invalid_dataset`, `pickle_refused`."""
    try:
        with opened(path) as file:
            header = read_header(file)
    except HoldsPickles as error:
        raise Refusal(
            "pickle_refused",
            "The array holds Python objects, which are pickles. Save it with a numeric dtype.",
        ) from error
    except BadHeader as error:
        raise _broken(str(error)) from error
    if header.size_bytes != size_of(path):
        raise _broken(
            f"its header says {header.dtype} {list(header.shape)}, the file has {size_of(path)} bytes"
        )
    return mapped(path, header, header.offset)


def _broken(why: str) -> Refusal:
    return Refusal("invalid_dataset", f"The .npy file is not valid: {why}. Write it with numpy.save.")
