"""Waiting until nothing else runs on this machine, for a bounded time; and measuring again what was disturbed."""

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

from worker.compression.measure.timing.disturbance import Watch
from worker.compression.progress import Progress

WAIT_VARIABLE: Final = "WINNOW_QUIET_WAIT_SECONDS"
WAIT_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.25

T = TypeVar("T")


class Patience:
    """How long a measurement goes on waiting for a quiet machine: the seconds that the variable says, in all."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._seconds = float(os.environ.get(WAIT_VARIABLE) or WAIT_SECONDS)
        self._left = self._seconds
        self._told = False

    @property
    def left(self) -> bool:
        return self._left > 0

    def wait(self) -> None:
        """Until it is quiet or the time is used up. This process must do nothing meanwhile."""
        while self.left and (why := self._look()) is not None:
            if not self._told:
                self.progress.log(f"waiting for a quiet machine, {self._seconds:g} s at most: {why}")
                self._told = True

    def _look(self) -> str | None:
        watch = Watch()
        time.sleep(LOOK_SECONDS)
        why = watch.seen().told()
        if why is not None:
            self._left -= LOOK_SECONDS
        return why

    def until_told(self, measure: Callable[[], T], untold: Callable[[T], str | None]) -> T:
        """What `measure` gives in a quiet moment: once more while `untold` has a reason and time is left."""
        while True:
            self.wait()
            begun = time.monotonic()
            found = measure()
            if untold(found) is None or not self.left:
                return found
            self._left -= time.monotonic() - begun
