"""An exponential mean that is right from the first value on: Σ (1−m) m^k x_{t−k} / (1 − m^t)."""

from dataclasses import dataclass


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
