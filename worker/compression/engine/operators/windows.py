"""Windows that slide over the axes behind batch and channel: strides, dilations, pads, and padding by name.

SAME_UPPER, SAME_LOWER    so that there are ceil(size / stride) windows; the odd pad comes last, or first
VALID                     no padding
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes


@dataclass(frozen=True)
class Placed:
    """A window over axes of known number: all that does not depend on x, worked out once.

    `even` is the padding as torch's own argument takes it, None where before and after differ; `flat` is what
    `functional.pad` takes.
    """

    strides: list[int]
    dilations: list[int]
    pads: list[tuple[int, int]]
    even: list[int] | None
    flat: list[int]

    @classmethod
    def of(cls, strides: list[int], dilations: list[int], pads: list[tuple[int, int]]) -> "Placed":
        even = [before for before, after in pads if before == after]
        flat = [pad for pair in reversed(pads) for pad in pair]
        return cls(strides, dilations, pads, even if len(even) == len(pads) else None, flat)


class Window:
    """Read from a node, which may leave strides and dilations (1) and pads (0) to the operator."""

    def __init__(self, attributes: Attributes) -> None:
        self.strides, self.dilations = attributes.integers("strides"), attributes.integers("dilations")
        self.auto = attributes.text("auto_pad", "NOTSET")
        self.pads = attributes.integers("pads") if self.auto == "NOTSET" else None
        self._fixed: dict[int, Placed] = {}

    def at(self, x: torch.Tensor, kernel: Sequence[int]) -> Placed:
        """The window `kernel` over x [N, C, …]; the same object every time unless it depends on x's shape."""
        if self.auto.startswith("SAME"):
            return self._same(x.shape[2:], kernel)
        windows = self._fixed.get(len(kernel))
        if windows is None:
            windows = self._fixed[len(kernel)] = self._explicit(len(kernel))
        return windows

    def _explicit(self, axes: int) -> Placed:
        pads = self.pads or [0] * 2 * axes
        strides, dilations = self.strides or [1] * axes, self.dilations or [1] * axes
        return Placed.of(strides, dilations, list(zip(pads[:axes], pads[axes:], strict=True)))

    def _same(self, sizes: Sequence[int], kernel: Sequence[int]) -> Placed:
        strides, dilations = self.strides or [1] * len(kernel), self.dilations or [1] * len(kernel)
        pads = []
        for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
            total = max((-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size, 0)
            less = total // 2
            pads.append((less, total - less) if self.auto == "SAME_UPPER" else (total - less, less))
        return Placed.of(strides, dilations, pads)


def padded(x: torch.Tensor, window: Placed) -> tuple[torch.Tensor, list[int]]:
    """x and the padding left for torch's own argument, which knows only the same on both sides."""
    if window.even is not None:
        return x, window.even
    return functional.pad(x, window.flat), [0] * len(window.pads)
