"""The exponential moving average of the weights, which often generalises better than the last ones.

    θ̄ ← d θ̄ + (1 − d) θ        d = min(decay, (1 + t) / (10 + t))        after step t

(Polyak & Juditsky 1992; as a teacher Tarvainen & Valpola 2017, arXiv:1703.01780). The share that grows with t is
TensorFlow's: a short training must not keep the weights that it began with. Running statistics are averaged alike.
What holds an infinity, as masks of attention do, is a constant and no weight: of it there is no mean.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn

from worker.compression.engine.tensors import restore_snapshot, take_snapshot


class Average:
    """Of a module's parameters and buffers, from what they are now on."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module, self._decay = module, decay
        self._mean, self._steps = take_snapshot(module), 0
        self._averaged = [mean.is_floating_point() and bool(mean.isfinite().all()) for mean in self._mean]

    @torch.no_grad()
    def update(self) -> None:
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        tensors = chain(self._module.parameters(), self._module.buffers())
        for mean, tensor, averaged in zip(self._mean, tensors, self._averaged, strict=True):
            if averaged:
                mean.lerp_(tensor, 1 - decay)
            else:
                mean.copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the average's weights meanwhile."""
        own = take_snapshot(self._module)
        restore_snapshot(self._module, self._mean)
        try:
            yield
        finally:
            restore_snapshot(self._module, own)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self._mean, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for mean, saved in zip(self._mean, state["mean"], strict=True):
            mean.copy_(saved)  # which is on the host
        self._steps = state["steps"]
