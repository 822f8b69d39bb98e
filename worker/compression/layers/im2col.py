"""Lays out what a convolution's kernel sees at each position of its output as rows of a matrix (im2col)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from numpy.lib.stride_tricks import sliding_window_view

from worker.compression.ir.arrays import Array

MOST_DRAWS: Final = 16
"""Draws that are remembered: those of the layers of one batch, and the next has the same."""


@dataclass(frozen=True)
class Window:
    """A convolution's window, one number for each spatial axis; `pads` None: as much as the node's auto_pad says."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...] | None
    auto: str

    @classmethod
    def of(cls, node: ir.Node, kernel: tuple[int, ...]) -> "Window":
        """Read the window of a Conv with a kernel of this size."""
        rank, ones = len(kernel), [1] * len(kernel)
        auto = node.attributes.get_string("auto_pad", "NOTSET")
        flat = list(node.attributes.get_ints("pads", [0] * 2 * rank))
        pads = tuple(zip(flat[:rank], flat[rank:], strict=True))
        return cls(
            tuple(kernel),
            tuple(node.attributes.get_ints("strides", ones)),
            tuple(node.attributes.get_ints("dilations", ones)),
            pads if auto == "NOTSET" else None,
            auto,
        )

    def padding(self, sizes: tuple[int, ...]) -> list[tuple[int, int]]:
        """Compute the padding before and behind, of each spatial axis of data of these sizes."""
        if self.pads is not None:
            return list(self.pads)
        if self.auto == "VALID":
            return [(0, 0)] * len(self.kernel)
        return [
            self._same(*axis) for axis in zip(sizes, self.kernel, self.strides, self.dilations, strict=True)
        ]

    def _same(self, size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
        reach = (kernel - 1) * dilation + 1
        total = max(0, (-(-size // stride) - 1) * stride + reach - size)
        small = total // 2
        return (small, total - small) if self.auto == "SAME_UPPER" else (total - small, small)


def patches(x: Array, window: Window, groups: int = 1, max_rows: int | None = None) -> Array:
    """Lay out data [N, channels, …] as float32 [groups, rows, (channels / groups) · Πkernel], a row for each position.

    `max_rows` at most, drawn without replacement, the same ones for data of the same size.
    """
    rank = len(window.kernel)
    padded = _padded(x, window.padding(x.shape[2:]))
    reach = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
    views = sliding_window_view(padded, reach, axis=tuple(range(2, 2 + rank)))
    steps = tuple(slice(None, None, s) for s in window.strides)
    views = views[(slice(None), slice(None), *steps, *(slice(None, None, d) for d in window.dilations))]
    samples, channels, positions = x.shape[0], x.shape[1], views.shape[2 : 2 + rank]
    views = np.moveaxis(views, 1, 1 + rank)  # [N, positions…, channels, kernel…]
    rows = sampled_rows(samples * math.prod(positions), max_rows)
    picked = views[np.unravel_index(rows, (samples, *positions))]
    inner = channels // groups * math.prod(window.kernel)
    return np.ascontiguousarray(picked.reshape(len(rows), groups, inner).swapaxes(0, 1), np.float32)


def _padded(x: Array, padding: Sequence[tuple[int, int]]) -> Array:
    """With zeros around the spatial axes."""
    if not any(map(any, padding)):
        return x
    inner = tuple(
        slice(before, before + size) for (before, _), size in zip(padding, x.shape[2:], strict=True)
    )
    sizes = [before + size + after for (before, after), size in zip(padding, x.shape[2:], strict=True)]
    padded = np.zeros((*x.shape[:2], *sizes), x.dtype)
    padded[(slice(None), slice(None), *inner)] = x
    return padded


def sampled_rows(count: int, max_rows: int | None) -> npt.NDArray[np.int64]:
    """Choose rows, in ascending order: all, or `max_rows` of them, which follow from the count alone."""
    return np.arange(count) if max_rows is None or count <= max_rows else _drawn(count, max_rows)


@lru_cache(MOST_DRAWS)
def _drawn(count: int, rows: int) -> npt.NDArray[np.int64]:
    drawn = np.sort(np.random.default_rng(count).choice(count, rows, replace=False))
    drawn.flags.writeable = False
    return drawn
