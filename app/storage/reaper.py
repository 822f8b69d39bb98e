"""Makes sure that nothing waits for ever, not for a worker that died, not for a message that was lost, and that nothing
stays for longer than the operator wants.

Runs in every API process and in every worker's parent; compare-and-set in the store lets only one of them act.

A message is lost if the broker has fewer than there are records that wait: so many are published again, those first
that were published longest ago. A queue is thus never made longer than what waits, however long all workers are busy.
And what waits is found: a worker that is idle soon empties the queue of messages for what no longer waits, which
might stand for one that is lost.
"""

import logging
import time
from dataclasses import dataclass
from itertools import takewhile
from threading import Event, Thread
from typing import Final

from app.queue import WakeUp
from app.settings import Settings
from app.storage.local_partials import LocalPartials
from app.storage.ports import Blobs, Records
from app.storage.records import KEEP_DELIVERIES_SECONDS, Queue, Wake
from app.storage.retention import expire_once

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 60.0


def reap_once(
    records: Records, queue: WakeUp, *, now: float, republish_seconds: float, look_seconds: float
) -> list[Wake]:
    """Give expired leases back and publish what no worker can hear of; answers what was published.

    What the broker does not take now, it lacks at the next look.
    """
    reaped = records.reap(now, look_seconds)
    wakes = [*reaped.released]
    for name, waiting in reaped.waiting.items():
        sent = sum(wake.queue == name for wake in reaped.released)
        lacking = waiting - sent - _messages(queue, name, waiting)
        if lacking > 0:
            wakes += records.republish(name, lacking, now, now - republish_seconds)
    published = list(takewhile(queue.publish, wakes))
    if published:
        log.info("published again: %d, %s first", len(published), published[0].id)
    return published


def _messages(queue: WakeUp, name: Queue, waiting: int) -> int:
    """In the broker; where it cannot be asked, as many as wait: nothing can be published either."""
    if waiting == 0:
        return 0
    length = queue.length(name)
    return waiting if length is None else length


def sweep_once(records: Records, blobs: Blobs, *, now: float, grace_seconds: float) -> list[str]:
    """Remove the bytes that no record names. Whoever stores bytes has `grace_seconds` to name them in a record."""
    swept = list(blobs.sweep(records.live_blobs(), now - grace_seconds))
    if swept:
        log.info("removed %d blobs that nothing refers to", len(swept))
    return swept


@dataclass
class Done:
    """What a reaper did since it was made: its rounds, those that failed, blobs swept and records expired."""

    turns: int = 0
    failures: int = 0
    swept: int = 0
    expired: int = 0


class Reaper:
    """A thread that does both, again and again. What fails is logged and tried again the next time."""

    def __init__(self, records: Records, blobs: Blobs, queue: WakeUp, settings: Settings) -> None:
        self._records, self._blobs, self._queue = records, blobs, queue
        self._republish_seconds, self._look_seconds = settings.republish_seconds, settings.look_seconds
        self._grace_seconds, self._retention = settings.blob_grace_seconds, settings.kept_for
        self._partials = LocalPartials(settings.partial_dir, blobs)
        self._upload_ttl_seconds = settings.upload_ttl_seconds
        self._interval = min(3.0, settings.lease_seconds / 3)
        self.done = Done()
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
                self.done.failures += 1
                log.exception("the reaper failed; trying again in %.1f s", self._interval)

    def turn(self, now: float) -> None:
        """One round, with a sweep when the last one is a minute ago."""
        self.done.turns += 1
        reap_once(
            self._records,
            self._queue,
            now=now,
            republish_seconds=self._republish_seconds,
            look_seconds=self._look_seconds,
        )
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            self.done.expired += len(expire_once(self._records, self._retention, now))
            swept = sweep_once(self._records, self._blobs, now=now, grace_seconds=self._grace_seconds)
            self.done.swept += len(swept)
            self._records.forget_deliveries(now - KEEP_DELIVERIES_SECONDS)
            self._drop_abandoned(now)

    def _drop_abandoned(self, now: float) -> None:
        """Uploads in parts of which no more has come."""
        self._records.forget_transfers(now)
        dropped = [*self._partials.sweep(now - self._upload_ttl_seconds)]
        if dropped:
            log.info("dropped the parts of uploads that nobody went on with: %d files", len(dropped))
