"""Which two neighbouring products may together leave 16 bits.

A CPU without VNNI multiplies uint8 by int8 with VPMADDUBSW, which adds two neighbouring products in int16 and cuts off:

    s = a₀·w₀ + a₁·w₁,  a in 0…255        cut off above 32767 and below −32768
    possible where 255 · (max(w₀, 0) + max(w₁, 0)) > 32767,  or  255 · (min(w₀, 0) + min(w₁, 0)) < −32768

Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, PMADDUBSW; ONNX Runtime,
onnxruntime/core/mlas/lib/amd64 (QgemmU8S8KernelAvx2.asm, ConvSymKernelAvx2.asm).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array

MOST, LEAST, LARGEST_DATA = 32767, -32768, 255
SEVEN_BITS: Final = 64 / 127
"""What turns weights in ±127 into such in ±64."""


@dataclass(frozen=True)
class ExposedPairs:
    """Of a weight [outputs, inputs]: for each output as many pairs as the one with most has. `places` [outputs, pairs,
    2] are columns, `numbers` what stands there, 0 in what only fills up. `count`: real ones in all."""

    places: Array
    numbers: Array
    count: int


def exposed_pairs(matrix: Array) -> ExposedPairs | None:
    """The pairs of an int8 weight whose products may be cut off; None where there is none."""
    pairs = in_pairs(matrix.astype(np.int32))
    most = LARGEST_DATA * np.maximum(pairs, 0).sum(axis=2)
    least = LARGEST_DATA * np.minimum(pairs, 0).sum(axis=2)
    exposed = (most > MOST) | (least < LEAST)
    width = int(exposed.sum(axis=1).max(initial=0))
    if not width:
        return None
    first = np.argsort(~exposed, axis=1, kind="stable")[:, :width]
    real = np.take_along_axis(exposed, first, axis=1)[..., None]
    numbers = np.take_along_axis(pairs, first[..., None], axis=1) * real
    places = 2 * first[..., None] + np.arange(2)
    inside = places < matrix.shape[1]
    return ExposedPairs(np.where(inside, places, 0), numbers * inside, int(exposed.sum()))


def in_pairs(matrix: Array) -> Array:
    """[outputs, inputs] → [outputs, pairs, 2], with a zero behind an odd number of inputs."""
    even = np.pad(matrix, [(0, 0), (0, matrix.shape[1] % 2)])
    return even.reshape(len(even), -1, 2)


def in_seven_bits(weight: Array) -> Array:
    """The nearest weights in ±64, in units of 127 / 64."""
    narrowed: Array = np.rint(weight * SEVEN_BITS).astype(np.int8)
    return narrowed
