"""While the work goes on: keep the lease, hear of a cancel, write down how far it is.

    every L/3       renew the lease; refused means fenced
    every 0.5 s     read whether to stop; report, if there is something new

A database that cannot be reached is asked again; the work goes on for as long as the lease lasts.
"""

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from app.storage.ports import Records
from app.storage.records import Item, Job, Trial
from worker.child.endings import Reason
from worker.child.protocol import Kept, Note
from worker.child.supervise import TICK_SECONDS
from worker.progress_record import ProgressRecord

log = logging.getLogger(__name__)
T = TypeVar("T")

ASK_SECONDS = 0.5


class Heartbeat:
    """The `Watch` over one attempt. `stopping` tells that the worker itself was asked to end; `on_kept` hears of each
    checkpoint."""

    def __init__(
        self,
        records: Records,
        item: Item,
        lease_seconds: float,
        stopping: Callable[[], bool],
        on_kept: Callable[[Kept], None] = lambda message: None,
    ) -> None:
        self._on_kept = on_kept
        self._records, self._item, self._lease, self._stopping = records, item, lease_seconds, stopping
        self._progress = ProgressRecord(item) if isinstance(item, Job | Trial) else None
        now = time.monotonic()
        self._lasts_until, self._renew_at, self._ask_at = now + lease_seconds, now + lease_seconds / 3, now

    def note(self, note: Note) -> None:
        if isinstance(note, Kept):
            self._on_kept(note)
        if self._progress is not None:
            self._progress.note(note)

    def crashed(self, how: str) -> None:
        """Write down that the attempt ended before its work did, and how."""
        log.warning("%s, attempt %d: %s", self._item.id, self._item.attempt, how)
        if self._progress is not None:
            self._progress.crashed(how)
        self.report()

    def tick(self) -> Reason | None:
        now = time.monotonic()
        if self._stopping():
            return "shutdown"
        if now >= self._renew_at and not self._renew(now):
            return "fenced"
        if isinstance(self._item, Trial) and time.time() > (self._item.deadline or math.inf):
            return "cancelled"
        if now < self._ask_at:
            return None
        self._ask_at = now + ASK_SECONDS
        self.report()
        return self._stop_reason(now)

    def report(self) -> None:
        report = self._progress and self._progress.take()
        if self._progress is None or not report:
            return
        try:
            self._records.report(self._item.id, self._item.attempt, **report)
        except Exception as error:
            log.warning("the store does not take the progress of %s: %s", self._item.id, error)
            self._progress.put_back(report)

    def during(self, work: Callable[[], T]) -> T:
        """Do something long in a thread and keep the lease meanwhile. Raises what `work` raises."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            future = pool.submit(copy_context().run, work)
            while not wait([future], timeout=TICK_SECONDS).done:
                self.tick()
            return future.result()

    def wait(self, seconds: float) -> Reason | None:
        """Let time pass; a reason to stop ends it early."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if (reason := self.tick()) is not None:
                return reason
            time.sleep(TICK_SECONDS)
        return None

    def insist(self, write: Callable[[], bool]) -> bool:
        """Ask the store until it answers, or until the lease is lost: then False."""
        while True:
            try:
                return write()
            except Exception as error:
                log.warning("the store does not take the end of %s: %s", self._item.id, error)
                if time.monotonic() > self._lasts_until:
                    return False
                time.sleep(ASK_SECONDS)

    def _renew(self, now: float) -> bool:
        """True too when the store could not be asked and the lease still lasts."""
        try:
            renewed = self._records.renew(self._item.id, self._item.attempt, time.time(), self._lease)
        except Exception as error:
            log.warning("the lease of %s could not be renewed: %s", self._item.id, error)
            self._renew_at = now + ASK_SECONDS
            return now < self._lasts_until
        self._lasts_until, self._renew_at = now + self._lease, now + self._lease / 3
        return renewed

    def _stop_reason(self, now: float) -> Reason | None:
        """The flag is also up when fenced; the lease tells which."""
        try:
            if not self._records.cancel_requested(self._item.id, self._item.attempt):
                return None
        except Exception as error:
            log.warning("could not read whether %s is cancelled: %s", self._item.id, error)
            return None
        return "cancelled" if self._renew(now) else "fenced"
