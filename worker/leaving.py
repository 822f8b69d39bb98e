"""A worker that is told to end: it takes nothing new, and has a time to finish what it does."""

import math
import time


class Leaving:
    """`grace_seconds` may pass from the first time that it is told; the second time ends them. For signal handlers."""

    def __init__(self, grace_seconds: float = 0.0) -> None:
        self._grace, self._end = grace_seconds, math.inf

    def tell(self) -> None:
        now = time.monotonic()
        self._end = now if self.begun() else now + self._grace

    def begun(self) -> bool:
        """Whether nothing new is to be taken."""
        return self._end < math.inf

    def over(self) -> bool:
        """Whether what is being done is to be handed over now."""
        return time.monotonic() >= self._end
