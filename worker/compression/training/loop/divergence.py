"""When a training has diverged: its loss is NaN or infinite, or has exploded.

Exploded: over the last steps it is several times as high as both what it began with and the loss of a student that
answers zero to everything. One that starts as its teacher begins at nearly no loss, hence the second.
"""

import math
from dataclasses import dataclass, field

from worker.compression.training.loop.smooth import Smoothed

EXPLODED = 3.0


class Diverged(Exception):
    """Says how, with the numbers."""


@dataclass
class Divergence:
    """Looks at every loss. `ignorant` is the loss of a student that answers zero."""

    ignorant: float
    smoothed: Smoothed = field(default_factory=Smoothed)
    began: float | None = None

    def look(self, loss: float) -> float:
        """The smoothed loss. Raises `Diverged`."""
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss}")
        now = self.smoothed.add(loss)
        if self.began is None:
            self.began = loss
        if now > EXPLODED * max(self.began, self.ignorant):
            raise Diverged(f"the loss rose from {self.began:.4g} to {now:.4g}")
        return now
