"""A tensor as one bit a value and what is not zero, with the nodes that put both together (`smallest_form`)."""

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from worker.compression.ir.arrays import Array
from worker.compression.weight_storage import bitstream
from worker.compression.weight_storage.bitstream import Moved, Stored


def bitmask(
    name: str,
    array: Array,
    start: str,
    prefix: str,
    moved: Moved = Moved(),  # noqa: B008
    *,
    in_bits: bool = False,
) -> Stored:
    """The tensor `name` that `moved` makes of the array, or the array itself; `in_bits`: what is kept are codes."""
    stored, numbers = Stored(), array.reshape(-1)
    nonzero = not_zero(numbers)
    values = np.zeros(1 + int(np.count_nonzero(nonzero)), numbers.dtype)
    np.compress(nonzero, numbers, out=values[1:])
    if in_bits:
        inner, source = f"{start}q", f"{start}w"
        rows = bitstream.add_codes(stored, values, inner, prefix, moved)
        bitstream.add_reshaped(stored, rows, bitstream.held(values), values, inner, prefix, source)
    else:
        source = moved.write(stored, stored.constant(f"{start}v", values), start)
    index = stored.node(
        "Cast", [stored.constant(f"{start}m", np.packbits(nonzero))], f"{start}a", to=TensorProto.INT32
    )
    flat = stored.shared_constant(f"{prefix}flat", np.array([-1]))
    places = stored.node("Reshape", [_add_places(stored, index, start, prefix), flat], f"{start}i")
    rows = stored.node("GatherElements", [source, places], f"{start}h")
    bitstream.add_reshaped(stored, rows, 8 * -(-numbers.size // 8), array, start, prefix, name)
    return stored


def _add_places(stored: Stored, index: str, start: str, prefix: str) -> str:
    """int32 [bytes, 8]: how many ones up to this one; 0 for zeros."""
    bits = bitstream.add_table(stored, 1, prefix)
    along, down = (stored.shared_constant(f"{prefix}x{axis}", np.array(axis)) for axis in (1, 0))
    last = stored.shared_constant(f"{prefix}last", np.array([7]))
    within = stored.shared_node("CumSum", [bits, along], f"{prefix}p")
    count = stored.shared_node("Gather", [within, last], f"{prefix}n", axis=1)
    counts = stored.node("Gather", [count, index], f"{start}b")
    before = stored.node("CumSum", [counts, down], f"{start}c", exclusive=1)
    place = stored.node("Add", [stored.node("Gather", [within, index], f"{start}d"), before], f"{start}e")
    ones = stored.node("Gather", [bits, index], f"{start}o")
    return stored.node("Mul", [place, ones], f"{start}p")


def not_zero(flat: Array) -> npt.NDArray[np.bool_]:
    """By bits: -0.0 is not zero."""
    bits: Array = flat.view(np.dtype(f"u{flat.dtype.itemsize}"))
    return np.asarray(bits != 0, bool)
