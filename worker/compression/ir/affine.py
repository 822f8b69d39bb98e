"""Affine quantization to 8 bits: real = scale · (integer − zero point).

Activations are uint8 and asymmetric, which is what x86 multiplies fast, or int8 and symmetric (see `hardware`). Weights
are int8 and symmetric, one scale per output channel:

    scale_c = max|w_c| / limit                    (Krishnamoorthi 2018, arXiv:1806.08342)

The limit is 127, or 64 where the CPU would cut off sums of larger products: see `hardware`.
"""

from dataclasses import dataclass

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.ir.parts import parts

LEVELS = 255
SIGNED_LIMIT = 127


@dataclass(frozen=True)
class Range:
    """What an activation is expected to lie in, in real units."""

    low: float
    high: float

    def affine(self, *, signed: bool = False) -> tuple[Array, Array]:
        """Scale (float32 scalar) and zero point (uint8 scalar; `signed`: int8, and 0). Zero is always exact."""
        if signed:
            return _symmetric(max(-self.low, self.high, 0.0))
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = np.float32((high - low) / LEVELS)
        if scale < np.finfo(np.float32).tiny:
            return np.array(1, np.float32), np.array(0, np.uint8)
        return np.array(scale), np.array(np.clip(np.rint(-low / scale), 0, LEVELS), np.uint8)


def _symmetric(largest: float) -> tuple[Array, Array]:
    scale = np.float32(largest / SIGNED_LIMIT)
    return np.array(scale if scale >= np.finfo(np.float32).tiny else 1, np.float32), np.array(0, np.int8)


def weight_scales(weight: Array, axis: int, limit: int) -> Array:
    """float32 [channels]; a channel of zeros gets scale 1."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.zeros(weight.shape[axis], weight.dtype)
    for part in parts(weight):
        along = part if axis == 0 else ...
        of_part = np.abs(weight[part]).max(axis=others, initial=0)
        largest[along] = np.maximum(largest[along], of_part)
    scales = (largest / limit).astype(np.float32)
    return np.where(scales < np.finfo(np.float32).tiny, np.float32(1), scales)


def scales_for_bias(scales: Array, bias: Array, activation: Array) -> Array:
    """Scales raised where the bias, stored as int32 in units of activation · weight scale, would take more than half of
    its range: the products that are added to it have the other half. The unit itself stays a normal float32."""
    least = np.maximum(np.abs(bias) / 2.0**30, np.finfo(np.float32).tiny) / float(activation)
    return np.maximum(scales, np.minimum(least, np.finfo(np.float32).max).astype(np.float32))


def quantized_weight(weight: Array, scales: Array, axis: int, limit: int) -> Array:
    """int8, the shape of `weight`, rounded half to even."""
    spread = scales.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    integers = np.empty(weight.shape, np.int8)
    for part in parts(weight):
        own = spread[part] if axis == 0 else spread
        integers[part] = np.clip(np.rint(weight[part] / own), -limit, limit)
    return integers


def for_all_channels(scales: Array) -> Array:
    """The same shape, with the one scale that all channels can have."""
    return np.full_like(scales, scales.max(initial=np.finfo(np.float32).tiny))


def round_to_nearest(matrix: Array, limit: int, *, by_channel: bool = True) -> Array:
    """float32: weights [groups, out, in] as they are after quantization, a scale for each output, or one for all."""
    rows = matrix.reshape(-1, matrix.shape[2])
    scales = weight_scales(rows, 0, limit)
    scales = scales if by_channel else for_all_channels(scales)
    rounded: Array = quantized_weight(rows, scales, 0, limit) * scales[:, None]
    return rounded.reshape(matrix.shape)


def quantized_bias(bias: Array, scales: Array) -> Array:
    """int32, in units of `scales`."""
    limits = np.iinfo(np.int32)
    return np.clip(np.rint(bias / scales.astype(np.float64)), limits.min, limits.max).astype(np.int32)
