"""What the worker's parent does besides: the reaper, its own record, and clearing scratch that nobody comes back to.

The parent forks pool processes at any time, and SQLite must not be open while it does: a fork drops the locks that
the library believes to hold. So every turn opens the stores, closes them, and holds off forks meanwhile.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread

from app.queue import CeleryQueue
from app.settings import Settings
from app.storage.engine import open_engine
from app.storage.ports import Records
from app.storage.reaper import reap_once
from app.storage.sql import SqlRecords
from worker.presence import Presence
from worker.scratch import Scratch

log = logging.getLogger(__name__)

SWEEP_LEASES = 20
"""Between two sweeps of the scratch folder: ten minutes with leases as they are by default."""

_no_fork = Lock()
os.register_at_fork(
    before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release
)


class Housekeeping:
    """A daemon thread; what fails is tried again the next time. `id` is the worker's record's, `listen` tells whether
    hints are wanted: not while it drains."""

    def __init__(
        self, settings: Settings, id: str, queues: Iterable[str], listen: Callable[[bool], None]
    ) -> None:
        self._settings, self._id, self._names, self._listen = settings, id, tuple(queues), listen
        self._interval = min(3.0, settings.lease_seconds / 3)
        self._swept = -math.inf
        self._queue = CeleryQueue(settings)
        self._scratch = Scratch(settings.scratch_dir)
        self._presence: Presence | None = None

    def start(self) -> None:
        Thread(target=self._run, name="housekeeping", daemon=True).start()

    def leave(self) -> None:
        """Say that this worker takes nothing any more; whether that can be said in time or not, it ends."""
        try:
            with _no_fork, self._opened() as records:
                records.drain(self._id)
        except Exception as error:
            log.warning("could not say that this worker leaves: %s", error)

    def _run(self) -> None:
        while True:
            for part in (self._look_around, self._turn):
                try:
                    part()
                except Exception:
                    log.exception("housekeeping failed; trying again in %.1f s", self._interval)
            time.sleep(self._interval)

    def _look_around(self) -> None:
        self._presence = self._presence or Presence(self._id, self._names, self._settings.threads)

    def _turn(self) -> None:
        with _no_fork:
            self._clean_up()

    @contextmanager
    def _opened(self) -> Iterator[Records]:
        engine = open_engine(self._settings.database)
        try:
            yield SqlRecords(engine)
        finally:
            engine.dispose()

    def _clean_up(self) -> None:
        with self._opened() as records:
            reap_once(
                records,
                self._queue,
                now=time.time(),
                republish_seconds=self._settings.republish_seconds,
                look_seconds=self._settings.look_seconds,
            )
            if self._presence is not None:
                self._presence.put(records)
            own = records.worker(self._id)
            self._listen(own is None or not own.draining)
            if time.monotonic() - self._swept > SWEEP_LEASES * self._settings.lease_seconds:
                self._swept = time.monotonic()
                self._scratch.sweep(records)
