"""Makes sure that nothing waits for ever: not for a worker that died, not for a message that was lost.

Runs in every API process and in every worker's parent; compare-and-set in the store lets only one of them act.
"""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from app.settings import Settings
from app.storage.ports import Blobs, Records
from app.storage.records import Wake

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 60.0

Publish = Callable[[Wake], bool]


def reap_once(
    records: Records,
    publish: Publish,
    *,
    now: float,
    republish_seconds: float,
    unsent: list[Wake] | None = None,
) -> list[Wake]:
    """Give expired leases back and publish what waits. Answers what the broker did not take, to be passed in
    as `unsent` the next time: the store counts it as published."""
    wakes = list(dict.fromkeys([*(unsent or []), *records.reap(now, now - republish_seconds)]))
    for done, wake in enumerate(wakes):
        if not publish(wake):
            return wakes[done:]
    if wakes:
        log.info("published again: %s", ", ".join(wake.id for wake in wakes))
    return []


def sweep_once(records: Records, blobs: Blobs, *, now: float, grace_seconds: float) -> list[str]:
    """Remove the bytes that no record names. Whoever stores bytes has `grace_seconds` to name them in a record."""
    swept = list(blobs.sweep(records.live_blobs(), now - grace_seconds))
    if swept:
        log.info("removed %d blobs that nothing refers to", len(swept))
    return swept


class Reaper:
    """A thread that does both, again and again. What fails is logged and tried again the next time."""

    def __init__(self, records: Records, blobs: Blobs, publish: Publish, settings: Settings) -> None:
        self._records, self._blobs, self._publish = records, blobs, publish
        self._republish_seconds = settings.republish_seconds
        self._grace_seconds = settings.blob_grace_seconds
        self._interval = min(3.0, settings.lease_seconds / 3)
        self._unsent: list[Wake] = []
        self._swept = time.time()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="reaper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Harmless when it was never started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            try:
                self.turn(time.time())
            except Exception:
                log.exception("the reaper failed; trying again in %.1f s", self._interval)

    def turn(self, now: float) -> None:
        """One round, with a sweep when the last one is a minute ago."""
        self._unsent = reap_once(
            self._records,
            self._publish,
            now=now,
            republish_seconds=self._republish_seconds,
            unsent=self._unsent,
        )
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            sweep_once(self._records, self._blobs, now=now, grace_seconds=self._grace_seconds)
