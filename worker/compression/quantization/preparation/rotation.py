"""Rotates values inside the network, exactly, so that no channel of theirs is an outlier (QuaRot, Ashkboos et al. 2024,
arXiv:2404.00456; SpinQuant, Liu et al. 2024, arXiv:2405.16406).

What writes a value and what reads it are multiplied by an orthogonal Q along its channels:

    values of attention     softmax(q k) (x W_v Q) (Qᵀ W_o), the same Q for every head
    a residual stream       s Q = Σ (… W_i Q), read by normalisations that have no scale of their own

RMSNorm(s Q) = RMSNorm(s) Q for any Q. LayerNormalization(s Q) = LayerNormalization(s) Q where Q 1 = 1: the mean of s Q
is s Q 1 / n = mean(s). Scales and shifts of normalisations are folded into the layers that read them before.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from scipy.linalg import hadamard

from worker.compression.graph.channels.account import Group, Pinned
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import array_of
from worker.compression.quantization.preparation.norm_folding import fold_normalisations
from worker.compression.quantization.preparation.rotatable import rotatable


@dataclass(frozen=True)
class Rotated:
    """What writes each value that was rotated; and what was not, with the reason."""

    names: tuple[str, ...]
    pinned: tuple[Pinned, ...]


def rotate(edit: GraphEdit) -> Rotated:
    """Rotate in place every residual stream and all values of attention that can be, and fold normalisations for it."""
    fold_normalisations(edit)
    groups, pinned = rotatable(edit.model, edit.may_change)
    for group in groups:
        _rotate(edit.model, group)
    return Rotated(tuple(group.name for group in groups), tuple(pinned))


def rotated(array: Array, seed: int = 0, *, keeps_means: bool) -> Array:
    """Multiply by an orthogonal Q along the last axis, float64 [..., channels].

    Hadamard's matrix where there is one of that width. With `keeps_means` Q 1 = 1, and for all other widths, a circular
    convolution with a filter that lets all frequencies pass, each with a phase of its own, and 1 as it is: it spreads
    as a random Q does, in n log n.
    """
    width = array.shape[-1]
    if not keeps_means and width & (width - 1) == 0:
        return np.asarray(array @ (hadamard(width) / np.sqrt(width)), np.float64)
    phases = np.exp(2j * np.pi * np.random.default_rng(seed).random(width // 2 + 1))
    phases[0] = 1
    if width % 2 == 0:
        phases[-1] = 1
    return np.asarray(np.fft.irfft(np.fft.rfft(array) * phases, width), np.float64)


def _rotate(model: ir.Model, group: Group) -> None:
    """A part has one index for each channel, or one in each head."""
    for parts in zip(*(channel.parts for channel in group.channels), strict=True):
        value = model.graph.initializers[parts[0].initializer]
        array, axis = array_of(value).astype(np.float64), parts[0].axis
        along = np.moveaxis(array, axis, -1)
        for places in zip(*(part.indices for part in parts), strict=True):
            along[..., list(places)] = rotated(
                along[..., list(places)], keeps_means=group.unit == "embedding"
            )
        value.const_value = ir.tensor(array.astype(np.float32), name=value.name)
