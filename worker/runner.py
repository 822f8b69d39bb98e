"""One piece of work: claim, fetch, run in a child process, store, record.

The record owns the work. Whatever ends this process or this host, the lease runs out and somebody else claims it;
whatever comes of an attempt is written only while that attempt is the current one.
"""

import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from app import tracing
from app.queue import WakeUp
from app.settings import Settings
from app.storage.ids import study_of
from app.storage.kinds import queue_of
from app.storage.ports import Blobs, Records, StoreAway
from app.storage.records import FORGET_WORKER_SECONDS, Duration, Item, Job, Study, Taker, Trial, Wake
from winnow.contract.capability import CPU, INSPECT
from winnow.contract.errors import Refusal
from worker.blob_cache import BlobCache
from worker.child import problems
from worker.child.endings import Ending, Failed, Finished, Stopped
from worker.child.supervise import supervise
from worker.durations import keep_durations, measured_durations
from worker.handover import BlobHandover, Handover, NoHandover
from worker.heartbeat import Heartbeat
from worker.job_input import JobInput
from worker.leaving import Leaving
from worker.named_work import named_work
from worker.outcome import Outcome
from worker.presence import HOST
from worker.room import Room
from worker.scratch import Scratch
from worker.share import own_threads
from worker.traced_steps import TracedSteps
from worker.whole_result import WORKER_DIED, note_of, take_over, why_ended

log = logging.getLogger(__name__)

DRAINED_SECONDS: Final = 0.5
"""Between hints that a worker passes on: one that drains, until its parent has stopped asking for them, or one without
room."""


class Runner:
    """Does jobs and inspections, one at a time. `leaving` tells that this worker was asked to end.

    `child` is the module that is run as the child process; `runtimes` are what this worker can measure with, empty
    where that is not known; `id` is its record's.
    """

    def __init__(
        self,
        settings: Settings,
        records: Records,
        blobs: Blobs,
        queue: WakeUp,
        leaving: Leaving | None = None,
        child: str = "worker.child",
        runtimes: Collection[str] = frozenset(),
        id: str = "",
        capabilities: Collection[str] = (CPU, INSPECT),
    ) -> None:
        self._settings, self._records, self._blobs, self._queue = settings, records, blobs, queue
        self._leaving, self._child, self._runtimes = leaving or Leaving(), child, runtimes
        self._id, self._capabilities = id, frozenset(capabilities)
        self._cache = BlobCache(blobs, settings.cache_dir, settings.cache_bytes, settings.ranges_above_bytes)
        self._scratch = Scratch(settings.scratch_dir)
        self._room = Room(settings.data_dir, settings.keep_free_bytes)

    def take(self, wake: Wake) -> None:
        """Do what comes first of all that waits and that this worker is able to do: the hint only says that something
        waits. Never raises: a worker outlives every job."""
        try:
            if self._leaving.begun():  # taken from the queue a moment too late: for the next worker
                self._queue.publish(wake)
            elif self._drains() or not self._room.is_there():
                self._queue.publish(wake)
                time.sleep(DRAINED_SECONDS)
            else:
                self._take_best(wake)
        except Exception:
            log.exception("this attempt failed on our side; its lease will run out")

    def _take_best(self, wake: Wake) -> None:
        item = self._records.claim_next(self._taker(), time.time(), self._settings.lease_seconds)
        if item is None:
            log.info("nothing is to be had, nor %s", wake.id)
            return
        if queue_of(item) != wake.queue:  # in that queue as much waits as before
            self._queue.publish(wake)
        self._do(item)

    def run(self, id: str) -> None:
        """Do this, if it is to be had. Never raises."""
        try:
            if self._leaving.begun():
                return
            taker = self._taker()
            item = self._records.claim(
                id, time.time(), self._settings.lease_seconds, HOST, taker.elsewhere, self._id
            )
            if item is None:
                log.info("%s is not to be had", id)
                return
            self._do(item)
        except Exception:
            log.exception("%s: this attempt failed on our side; its lease will run out", id)

    def _drains(self) -> bool:
        own = self._records.worker(self._id)
        return own is not None and own.draining

    def _taker(self) -> Taker:
        return Taker(
            id=self._id, host=HOST, capabilities=self._capabilities, elsewhere=frozenset(self._elsewhere())
        )

    def _do(self, item: Item) -> None:
        """Whoever ends a trial takes the next turn of its search, too: nobody waits for anybody."""
        if isinstance(item, Study):
            from worker.search_turn import take_turn  # Optuna, which most workers never need

            with named_work(item, "turn of"):
                for wake in take_turn(self._records, item, self._settings.max_attempts):
                    self._queue.publish(wake)
            return
        with named_work(item, "attempt at"):
            self._attempt(item)
        if isinstance(item, Trial):
            self._turn_behind(item)

    def _turn_behind(self, trial: Trial) -> None:
        study = study_of(trial.job)
        if self._leaving.begun() or self._drains():
            self._queue.publish(Wake(queue=queue_of(trial), id=study))
        else:
            self.run(study)

    def _elsewhere(self) -> set[str]:
        """What another worker can measure with and this one cannot: such jobs are for it. What nobody has is refused by
        the child."""
        if not self._runtimes or self._capabilities <= {INSPECT}:
            return set()
        others = self._records.workers(time.time() - FORGET_WORKER_SECONDS)
        able = [other for other in others if not {*other.capabilities} <= {INSPECT}]
        return {name for other in able for name in other.runtimes} - set(self._runtimes)

    def _attempt(self, item: Item) -> None:
        log.info("%s: attempt %d of %d", item.id, item.attempt, item.max_attempts)
        handover = self._handover(item)
        heartbeat = Heartbeat(
            self._records, item, self._settings.lease_seconds, self._leaving.over, handover.keep
        )
        outcome = Outcome(self._records, self._blobs, self._queue, self._scratch, self._room, item, heartbeat)
        folder = self._scratch.folder(item)
        try:
            ending, durations = self._ending(item, folder, handover, heartbeat)
            with tracing.span("store"):
                ending, changes = outcome.store(ending, folder)
            heartbeat.report()
            if not outcome.record(ending, changes):
                log.warning("%s: attempt %d was overtaken, its work is dropped", item.id, item.attempt)
            elif isinstance(ending, Finished):
                keep_durations(self._records, durations)
        finally:
            self._scratch.leave(item)

    def _ending(
        self, item: Item, folder: Path, handover: Handover, heartbeat: Heartbeat
    ) -> tuple[Ending, list[Duration]]:
        """How the work ended. All but the page of a job may have been made before something ended it, its worker too:
        then it is finished."""
        if heartbeat.during(lambda: take_over(self._scratch, item)):
            heartbeat.note(note_of(item, folder, WORKER_DIED))
            return Finished({}), []
        begun = time.monotonic()
        ending = self._unless_full(lambda: self._work(item, folder, handover, heartbeat))
        durations = self._durations(item, ending, folder, time.monotonic() - begun)
        if (why := heartbeat.during(lambda: why_ended(ending, item, folder))) is None:
            return ending, durations
        heartbeat.note(note_of(item, folder, why))
        return Finished({}), durations

    def _handover(self, item: Item) -> Handover:
        """Where there may be other hosts, to any of them."""
        if self._settings.blobs_url is None or not isinstance(item, Job | Trial):
            return NoHandover()
        folders = self._scratch.checkpoints(item), self._scratch.curves(item)
        return BlobHandover(self._records, self._blobs, item, *folders)

    def _unless_full(self, work: Callable[[], Ending]) -> Ending:
        """Whatever there is no room for ends as a child's work does that finds none."""
        try:
            return work()
        except OSError as error:
            if not problems.is_full(error):
                raise
            return Failed(problems.full_disk())

    def _work(self, item: Item, folder: Path, handover: Handover, heartbeat: Heartbeat) -> Ending:
        self._scratch.attempt(item)
        with self._cache.lent() as files:
            job_input = JobInput(self._settings, self._records, files)
            try:
                with tracing.span("prepare"):
                    heartbeat.during(lambda: handover.restore(files))
                    task = heartbeat.during(lambda: job_input.task(item, folder))
            except Refusal as refusal:
                return Failed(refusal.problem)
            except StoreAway as error:
                heartbeat.crashed(f"its files cannot be had from the store ({error})")
                return Stopped("store_away")
            try:
                with tracing.span("child"), TracedSteps(heartbeat) as watch:
                    ending = supervise(
                        task,
                        job_input.limits(item),
                        folder,
                        watch,
                        self._child,
                        shared=self._scratch.shared(item),
                        filtered=self._settings.child_filters,
                        patience_seconds=self._settings.lease_seconds,
                        threads=own_threads(self._settings, self._records),
                        fetch=files.fetch,
                    )
                if ending == Stopped("store_away"):
                    heartbeat.crashed("its data cannot be had from the store")
                return ending
            finally:
                heartbeat.during(handover.close)

    def _durations(self, item: Item, ending: Ending, folder: Path, seconds: float) -> list[Duration]:
        """What the parts of a job took that has finished."""
        if not isinstance(item, Job) or not isinstance(ending, Finished):
            return []
        return measured_durations(self._records, item, folder, seconds, ending.peak_bytes)
