"""Pause the work while something else on this machine is timed alone: its guard stops it, and lets it go on.

Leases are renewed meanwhile, by us, and its time limit does not run. Whatever happens to us, the guard lets it go on.
"""

import contextlib
import logging
import os
import signal
from collections.abc import Iterable

from worker.child.guard import PAUSE, RESUME
from worker.child.strays import descendants
from worker.compression.measure.timing.lock_file import process_timed_alone

log = logging.getLogger(__name__)

MAX_PAUSE_SECONDS = 300.0
"""At a time: whoever is timed alone for longer is timed beside us."""
MAX_SHARE, FREE_SECONDS = 0.1, 60.0
"""In all: of the time that the work has had, and seconds on top, so that it can be paused at once when it is new."""


class Pausing:
    """Of the work of one supervisor; `look` is called again and again."""

    def __init__(self, name: str, max_seconds: float = MAX_PAUSE_SECONDS) -> None:
        self._name, self._max_seconds = name, max_seconds
        self._begun: float | None = None
        self._since: float | None = None
        self._before = 0.0
        self._exhausted = False

    def seconds(self, now: float) -> float:
        """How long it has been paused in all."""
        return self._before + (0.0 if self._since is None else now - self._since)

    def look(self, now: float, guards: Iterable[int]) -> None:
        """Pause what is below these guards, or let it go on, as it has to be now."""
        guards, timed = list(guards), process_timed_alone()
        self._begun = now if self._begun is None else self._begun
        if timed is None or any(timed in descendants(above=guard) for guard in guards):
            self._exhausted = False
            self._resume(now, guards)
        elif not self._exhausted:
            self._pause(now, guards)

    def _pause(self, now: float, guards: Iterable[int]) -> None:
        if self._since is None:
            log.info("%s: paused, another measurement needs the machine", self._name)
            self._since = now
        if self._is_enough(now):
            self._exhausted = True
            self._resume(now, guards)
            return
        _send(PAUSE, guards)

    def _is_enough(self, now: float) -> bool:
        paused, passed = self.seconds(now), now - (now if self._begun is None else self._begun)
        return paused - self._before > self._max_seconds or paused > FREE_SECONDS + MAX_SHARE * passed

    def _resume(self, now: float, guards: Iterable[int]) -> None:
        if self._since is None:
            return
        self._before, self._since = self.seconds(now), None
        _send(RESUME, guards)


def _send(signum: signal.Signals, guards: Iterable[int]) -> None:
    for guard in guards:
        with contextlib.suppress(ProcessLookupError):
            os.kill(guard, signum)
