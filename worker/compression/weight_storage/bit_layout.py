"""Pack whole numbers of 2, 3, 4 or 8 bits into bytes, and unpack them.

`pack_bits` writes the layout that MatMulNBits and GatherBlockQuantized read: along the last axis, the first in the low
bits.

Bytes that hold two numbers of 2 or 3 bits in 4 bits each (*pairs*) are stored in fewer: four of them in three bytes
(*planes*), or two in one. A few shifts and masks, which ONNX Runtime does once, on loading, bring them back:

    3 bits    of p0 p1 p2:  p0 & 0x77,  p1 & 0x77,  p2 & 0x77,  (p0 & 0x88) >> 3 | (p1 & 0x88) >> 2 | (p2 & 0x88) >> 1
    2 bits    of p:         p & 0x33,  (p & 0xCC) >> 2
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

PLANES: Final = {3: (3, 4), 2: (1, 2)}
"""bits → planes as stored, and as pairs."""


def pack_bits(codes: Bytes, bits: int) -> Bytes:
    """Pack uint8 [..., n] into uint8 [..., ceil(n · bits / 8)]; bits 2, 4 or 8."""
    per = 8 // bits
    padding = [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % per)]
    parts = np.pad(codes, padding).reshape(*codes.shape[:-1], -1, per)
    result = np.zeros(parts.shape[:-1], np.uint8)
    for index in range(per):
        result |= parts[..., index] << np.uint8(bits * index)
    return result


def unpack_bits(stored: Bytes, bits: int, count: int) -> Bytes:
    """Unpack the first `count` numbers of the last axis, uint8 [..., count]."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (stored[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return codes.reshape(*stored.shape[:-1], -1)[..., :count]


def pairs_to_planes(pairs: Bytes, bits: int) -> Bytes:
    """Store pairs of any shape, in order, as planes: uint8 [planes, n], filled up with zeros."""
    stored, wide = PLANES[bits]
    flat = pairs.reshape(-1)
    parts = np.pad(flat, (0, -flat.size % wide)).reshape(wide, -1)
    if bits == 2:
        return np.asarray(parts[:1] | parts[1:] << np.uint8(2))
    spread = [(parts[3] & np.uint8(0x11 << i)) << np.uint8(3 - i) for i in range(stored)]
    return np.stack([parts[i] | spread[i] for i in range(stored)])


def planes_to_pairs(stored: Bytes, bits: int, count: int) -> Bytes:
    """Bring back the first `count` pairs, uint8 [count], from planes."""
    if bits == 2:
        parts: list[Any] = [stored[0] & 0x33, stored[0] >> 2 & 0x33]
    else:
        last = sum((stored[i] & 0x88) >> np.uint8(3 - i) for i in range(3))
        parts = [*(stored & np.uint8(0x77)), last]
    return np.concatenate(parts).astype(np.uint8)[:count]
