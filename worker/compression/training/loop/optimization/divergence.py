"""Detects that a training has diverged: its loss is NaN or infinite, or has exploded.

Exploded: over the last steps it is several times as high as both what it began with and the loss of a student that
answers zero to everything. One that starts as its teacher begins at nearly no loss, hence the second.
The loss is smoothed by an exponential mean that is right from the first value on: Σ (1−m) m^k x_{t−k} / (1 − m^t).
"""

import math
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Smoothed:
    """`memory` is the share m of its past that it keeps at each step."""

    memory: float = 0.9
    value: float = 0.0
    steps: int = 0

    def add(self, x: float) -> float:
        """Add a value; returns the mean with it."""
        self.value = self.memory * self.value + (1 - self.memory) * x
        self.steps += 1
        return self.value / (1 - self.memory**self.steps)


MAX_RISE = 3.0
"""Times the larger of the first loss and a zero student's, above which the loss has exploded."""


class Diverged(Exception):
    """Says how, with the numbers."""


@dataclass
class Divergence:
    """Checks every loss. `zero_student_loss` is the loss of a student that answers zero to everything."""

    zero_student_loss: float
    smoothed: Smoothed = field(default_factory=Smoothed)
    first_loss: float | None = None

    def state_dict(self) -> dict[str, Any]:
        smoothed = (self.smoothed.memory, self.smoothed.value, self.smoothed.steps)
        return {**vars(self), "smoothed": smoothed}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Self:
        return cls(**{**state, "smoothed": Smoothed(*state["smoothed"])})

    def check(self, loss: float) -> float:
        """Smooth the losses, with this one. Raises `Diverged`."""
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss}")
        smoothed_loss = self.smoothed.add(loss)
        if self.first_loss is None:
            self.first_loss = loss
        if smoothed_loss > MAX_RISE * max(self.first_loss, self.zero_student_loss):
            raise Diverged(f"the loss rose from {self.first_loss:.4g} to {smoothed_loss:.4g}")
        return smoothed_loss
