"""Keeps weights zero while the others learn, and makes zeros grow in number.

    s(t) = s - (s - s0) (1 - t)³        t from 0 to 1 over the steps until `until`
    (Zhu & Gupta 2017, arXiv:1710.01878)

The smallest weights go, searched anew at each of `GROWTH_STEPS`; once zero, a weight is the smallest and stays so. What
has to be zero is decided before the training, by `sparsity_masks`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from worker.compression.layers.linear import Linear
from worker.compression.layers.sparsity_pattern import Structure, pattern_order

GROWTH_STEPS: Final = 50
"""Times that more weights are set to zero, until all zeros are there."""


@dataclass(frozen=True)
class Growth:
    """Where zeros grow: `goals` of them in each layer in the end, after the share `until` of the steps."""

    layers: list[Linear]
    goals: list[int]
    structure: Structure
    until: float


class ZeroMasks:
    """Masks over parameters, by name; `growth` makes more of them."""

    def __init__(
        self,
        parameters: dict[str, nn.Parameter],
        masked: dict[str, torch.Tensor],
        growth: Growth | None = None,
    ) -> None:
        """`masked`: where each of these parameters is zero, and has to stay so."""
        self._parameters, self._zero = parameters, dict(masked)
        self._growth, self.complete = growth, growth is None
        names = set(masked) | {str(layer.weight.name) for layer in (growth.layers if growth else ())}
        for name in names:
            if name not in self._zero:
                self._zero[name] = torch.zeros_like(parameters[name], dtype=torch.bool)
            parameters[name].register_hook(self._without(name))  # type: ignore[no-untyped-call]
        self._first = {name: int(zero.sum()) for name, zero in self._zero.items()}

    def after_step(self, step: int, total: int) -> None:
        """Grow zeros where it is time, and apply the masks, after the optimizer's step of this number."""
        if self._growth is not None and not self.complete:
            until = max(1, round(self._growth.until * total))
            if step >= until or step % max(1, until // GROWTH_STEPS) == 0:
                self._grow(self._growth, 1 - (1 - min(1.0, step / until)) ** 3)
            self.complete = step >= until
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Set to zero again what an optimizer, or folding, has moved."""
        for name, zero in self._zero.items():
            self._parameters[name].masked_fill_(zero, 0.0)

    def shares(self) -> dict[str, float]:
        """Compute the share of zeros of each masked parameter."""
        return {name: float(zero.float().mean()) for name, zero in self._zero.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"zero": self._zero, "complete": self.complete}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of masks over the same parameters."""
        for name, zero in self._zero.items():
            zero.copy_(state["zero"][name])
        self.complete = state["complete"]

    @torch.no_grad()
    def _grow(self, growth: Growth, progress: float) -> None:
        """Set the smallest weights to zero, `progress` (0 to 1) of the way from the first zeros to the goals."""
        for layer, goal in zip(growth.layers, growth.goals, strict=True):
            name = str(layer.weight.name)
            first = self._first[name]
            weight, zero, order = self._parameters[name], self._zero[name], pattern_order(layer)
            scores = layer.laid_out(weight.detach().double().cpu().numpy())[:, :, order] ** 2
            already = layer.laid_out(zero.cpu().numpy())[:, :, order]
            count = goal if progress >= 1 else round(first + (goal - first) * progress)
            mask = np.zeros(layer.shape, bool)
            mask[:, :, order] = growth.structure.weakest(np.where(already, -1.0, scores), count) | already
            zero.copy_(torch.from_numpy(np.ascontiguousarray(layer.stored(mask))))

    def _without(self, name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda gradient: gradient.masked_fill(self._zero[name], 0.0)
