"""What comes of an attempt: its results are brought to safety, then its record is written.

Only while the attempt is the current one; whatever cannot be finished is given back for another.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, assert_never

from app.queue import WakeUp
from app.storage.kinds import wake_of
from app.storage.ports import Blobs, Records, StoreAway
from app.storage.records import Item, Job, Trial
from winnow.contract.errors import Problem, Refusal
from worker.child.endings import Crashed, Ending, Failed, Finished, Reason, Stopped
from worker.heartbeat import Heartbeat
from worker.job_output import store_of_failed, store_results
from worker.room import DISK_FULL, Room
from worker.scratch import RETRYABLE, Scratch
from worker.search_records import end_of_job

log = logging.getLogger(__name__)

STORE_AGAIN_SECONDS: Final = 2.0


class Outcome:
    """Of one attempt at one item."""

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        queue: WakeUp,
        scratch: Scratch,
        room: Room,
        item: Item,
        heartbeat: Heartbeat,
    ) -> None:
        self._records, self._blobs, self._queue = records, blobs, queue
        self._scratch, self._room = scratch, room
        self._item, self._heartbeat = item, heartbeat

    def store(self, ending: Ending, folder: Path) -> tuple[Ending, dict[str, Any]]:
        """Bring the results to safety. What the child left may turn its success into something else."""
        item, curves = self._item, self._scratch.curves(self._item)
        match ending:
            case Finished(result=result):
                pass
            case Failed(problem=problem) if isinstance(item, Job):
                return self._insist(ending, lambda: store_of_failed(problem, folder, curves, self._blobs))
            case _:
                return ending, {}
        try:
            return self._insist(ending, lambda: store_results(item, result, folder, curves, self._blobs))
        except Refusal as refusal:
            return Failed(refusal.problem), {}
        except Exception as error:  # whatever a child made up
            log.exception("%s: the results could not be stored", item.id)
            return Crashed(f"its results could not be stored ({type(error).__name__})"), {}

    def _insist(self, ending: Ending, store: Callable[[], dict[str, Any]]) -> tuple[Ending, dict[str, Any]]:
        """Store until the store takes it, however long it is away, or there is a reason to stop: the work is done, and
        there is a lease."""
        while True:
            try:
                return ending, self._heartbeat.during(store)
            except StoreAway as error:
                log.warning("the store does not take the results: %s", error)
                if (reason := self._heartbeat.wait(STORE_AGAIN_SECONDS)) is not None:
                    return Stopped(reason), {}

    def record(self, ending: Ending, changes: dict[str, Any]) -> bool:
        """False when this attempt is no longer the current one."""
        match ending:
            case Finished():
                return self._finish(changes) or (
                    isinstance(self._item, Job | Trial) and self._finish(_stopped_state(self._item))
                )
            case Failed(problem=problem):
                return self._failed(problem, changes)
            case Stopped(why=why):
                return self._stopped(why)
            case Crashed(how=how):
                self._heartbeat.crashed(how)
                return self._give_back(blame=True)
            case _:
                assert_never(ending)

    def _failed(self, problem: Problem, changes: dict[str, Any]) -> bool:
        item = self._item
        if problem.code == DISK_FULL:
            self._room.ran_out()
            if item.attempt < item.max_attempts:
                self._heartbeat.crashed("the disk of its worker is full")
                return self._give_back(blame=True)
        return self._finish(changes | _failure(item, problem))

    def _stopped(self, why: Reason) -> bool:
        match why:
            case "cancelled":
                return self._finish(_stopped_state(self._item))
            case "fenced":
                return False
            case "shutdown":
                return self._give_back(blame=False)
            case "store_away":
                return self._give_back(blame=False, wake=False)
            case _:
                assert_never(why)

    def _finish(self, changes: dict[str, Any]) -> bool:
        item = self._item
        of_job = None
        if isinstance(item, Trial) and item.role == "final" and changes["state"] == "finished":
            of_job = end_of_job(changes)
        finished = self._heartbeat.insist(
            lambda: self._records.finish(item.id, item.attempt, time.time(), changes, of_job)
        )
        if finished:
            log.info("%s: %s", item.id, changes["state"])
            if changes["state"] not in RETRYABLE:  # such a job may go on after its checkpoints
                self._scratch.clear(item.id)
            if isinstance(item, Trial) and of_job is not None:
                self._scratch.clear(item.job)
        return finished

    def _give_back(self, *, blame: bool, wake: bool = True) -> bool:
        """Without `wake` nobody is told now: the reaper does, after a while."""
        item = self._item
        released = self._heartbeat.insist(
            lambda: self._records.release(item.id, item.attempt, time.time(), blame)
        )
        if released and wake:
            self._queue.publish(wake_of(item))
        return released


def _stopped_state(item: Item) -> dict[str, Any]:
    return {"state": "stopped_early" if isinstance(item, Trial) else "cancelled"}


def _failure(item: Item, problem: Problem) -> dict[str, Any]:
    state = "failed" if isinstance(item, Job | Trial) else "rejected"
    return {"state": state, "problem": problem.model_dump(mode="json")}
