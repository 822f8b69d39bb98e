"""Wait until nothing else runs on this machine, for a bounded time; and measure again what was disturbed."""

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


def usual_wait() -> float:
    """Seconds to wait for a quiet machine, as the variable says."""
    return float(os.environ.get(WAIT_VARIABLE) or WAIT_SECONDS)


class Patience:
    """How long a measurement goes on waiting for a quiet machine: `seconds`, by itself those that the variable says, in
    all. `lock_seconds`: how long it waits for other measurements here, None for as long as is usual."""

    def __init__(
        self, progress: Progress, seconds: float | None = None, lock_seconds: float | None = None
    ) -> None:
        self.progress, self.lock_seconds = progress, lock_seconds
        self._seconds = usual_wait() if seconds is None else seconds
        self._seconds_left = self._seconds
        self._announced = False

    @property
    def has_time(self) -> bool:
        return self._seconds_left > 0

    def wait(self) -> None:
        """Wait until it is quiet or the time is used up. This process must do nothing meanwhile."""
        while self.has_time and (why := self._look()) is not None:
            if not self._announced:
                self.progress.log(f"waiting for a quiet machine, {self._seconds:g} s at most: {why}")
                self._announced = True

    def _look(self) -> str | None:
        watch = Watch()
        time.sleep(LOOK_SECONDS)
        why = watch.seen().why_untold()
        if why is not None:
            self._seconds_left -= LOOK_SECONDS
        return why

    def until_quiet(self, measure: Callable[[], T], untold: Callable[[T], str | None]) -> T:
        """Measure in a quiet moment; once more while `untold` gives a reason and there is time."""
        while True:
            self.wait()
            begun = time.monotonic()
            measured = measure()
            if untold(measured) is None or not self.has_time:
                return measured
            self._seconds_left -= time.monotonic() - begun
