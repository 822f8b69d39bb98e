"""One piece of work: claim, fetch, run in a child process, store, record.

The record owns the work. Whatever ends this process or this host, the lease runs out and somebody else claims it;
whatever comes of an attempt is written only while that attempt is the current one.
"""

import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, assert_never

from app import tracing
from app.queue import WakeUp
from app.settings import Settings
from app.storage.ids import study_of
from app.storage.kinds import queue_of, wake_of
from app.storage.ports import Blobs, Records, StoreAway
from app.storage.records import FORGET_WORKER_SECONDS, Duration, Item, Job, Study, Taker, Trial, Wake
from winnow.contract.capability import CPU, INSPECT
from winnow.contract.errors import Problem, Refusal
from worker.blob_cache import BlobCache
from worker.child import problems
from worker.child.endings import Crashed, Ending, Failed, Finished, Reason, Stopped
from worker.child.supervise import supervise
from worker.durations import keep_durations, measured_durations
from worker.handover import BlobHandover, Handover, NoHandover
from worker.heartbeat import Heartbeat
from worker.job_input import JobInput
from worker.job_output import store_of_failed, store_results
from worker.leaving import Leaving
from worker.named_work import named_work
from worker.presence import HOST
from worker.room import DISK_FULL, Room
from worker.scratch import RETRYABLE, Scratch
from worker.search_records import end_of_job
from worker.share import own_threads
from worker.traced_steps import TracedSteps
from worker.whole_result import WORKER_DIED, note_of, take_over, why_ended

log = logging.getLogger(__name__)

DRAINED_SECONDS: Final = 0.5
"""Between hints that a worker passes on: one that drains, until its parent has stopped asking for them, or one without
room."""
STORE_AGAIN_SECONDS: Final = 2.0


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
        folder = self._scratch.folder(item)
        try:
            ending, durations = self._ending(item, folder, handover, heartbeat)
            with tracing.span("store"):
                ending, changes = self._store(item, ending, folder, heartbeat)
            heartbeat.report()
            if not self._record(item, ending, changes, heartbeat):
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

    def _store(
        self, item: Item, ending: Ending, folder: Path, heartbeat: Heartbeat
    ) -> tuple[Ending, dict[str, Any]]:
        """Bring the results to safety. What the child left may turn its success into something else."""
        curves = self._scratch.curves(item)
        match ending:
            case Finished(result=result):
                pass
            case Failed(problem=problem) if isinstance(item, Job):
                return _insist(
                    ending, lambda: store_of_failed(problem, folder, curves, self._blobs), heartbeat
                )
            case _:
                return ending, {}
        try:
            return _insist(
                ending, lambda: store_results(item, result, folder, curves, self._blobs), heartbeat
            )
        except Refusal as refusal:
            return Failed(refusal.problem), {}
        except Exception as error:  # whatever a child made up
            log.exception("%s: the results could not be stored", item.id)
            return Crashed(f"its results could not be stored ({type(error).__name__})"), {}

    def _record(self, item: Item, ending: Ending, changes: dict[str, Any], heartbeat: Heartbeat) -> bool:
        """False when this attempt is no longer the current one."""
        match ending:
            case Finished():
                return self._finish(item, changes, heartbeat) or (
                    isinstance(item, Job | Trial) and self._finish(item, _stopped_state(item), heartbeat)
                )
            case Failed(problem=problem):
                return self._failed(item, problem, changes, heartbeat)
            case Stopped(why=why):
                return self._stopped(item, why, heartbeat)
            case Crashed(how=how):
                heartbeat.crashed(how)
                return self._give_back(item, heartbeat, blame=True)
            case _:
                assert_never(ending)

    def _failed(self, item: Item, problem: Problem, changes: dict[str, Any], heartbeat: Heartbeat) -> bool:
        if problem.code == DISK_FULL:
            self._room.ran_out()
            if item.attempt < item.max_attempts:
                heartbeat.crashed("the disk of its worker is full")
                return self._give_back(item, heartbeat, blame=True)
        return self._finish(item, changes | _failure(item, problem), heartbeat)

    def _stopped(self, item: Item, why: Reason, heartbeat: Heartbeat) -> bool:
        match why:
            case "cancelled":
                return self._finish(item, _stopped_state(item), heartbeat)
            case "fenced":
                return False
            case "shutdown":
                return self._give_back(item, heartbeat, blame=False)
            case "store_away":
                return self._give_back(item, heartbeat, blame=False, wake=False)
            case _:
                assert_never(why)

    def _finish(self, item: Item, changes: dict[str, Any], heartbeat: Heartbeat) -> bool:
        of_job = None
        if isinstance(item, Trial) and item.role == "final" and changes["state"] == "finished":
            of_job = end_of_job(changes)
        finished = heartbeat.insist(
            lambda: self._records.finish(item.id, item.attempt, time.time(), changes, of_job)
        )
        if finished:
            log.info("%s: %s", item.id, changes["state"])
            if changes["state"] not in RETRYABLE:  # such a job may go on after its checkpoints
                self._scratch.clear(item.id)
            if isinstance(item, Trial) and of_job is not None:
                self._scratch.clear(item.job)
        return finished

    def _give_back(self, item: Item, heartbeat: Heartbeat, *, blame: bool, wake: bool = True) -> bool:
        """Without `wake` nobody is told now: the reaper does, after a while."""
        released = heartbeat.insist(lambda: self._records.release(item.id, item.attempt, time.time(), blame))
        if released and wake:
            self._queue.publish(wake_of(item))
        return released


def _insist(
    ending: Ending, store: Callable[[], dict[str, Any]], heartbeat: Heartbeat
) -> tuple[Ending, dict[str, Any]]:
    """Store until the store takes it, however long it is away: the work is done, and there is a lease. Unless there is
    a reason to stop."""
    while True:
        try:
            return ending, heartbeat.during(store)
        except StoreAway as error:
            log.warning("the store does not take the results: %s", error)
            if (reason := heartbeat.wait(STORE_AGAIN_SECONDS)) is not None:
                return Stopped(reason), {}


def _stopped_state(item: Item) -> dict[str, Any]:
    return {"state": "stopped_early" if isinstance(item, Trial) else "cancelled"}


def _failure(item: Item, problem: Problem) -> dict[str, Any]:
    state = "failed" if isinstance(item, Job | Trial) else "rejected"
    return {"state": state, "problem": problem.model_dump(mode="json")}
