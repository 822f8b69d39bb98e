"""What a job waits for: where no worker that lives is able to do it, the capability that is missing."""

import time
from collections.abc import Sequence
from threading import Lock
from typing import Final

from app.api.times import at
from app.storage import rules
from app.storage.ports import Records
from app.storage.records import ALIVE_SECONDS, Job, Worker
from winnow.contract.capability import WaitingFor
from winnow.contract.job import FINISHED

FRESH_SECONDS: Final = 1.0
"""For so long the same workers are told again, however many ask."""


class LiveWorkers:
    """Thread-safe."""

    def __init__(self, records: Records) -> None:
        self._records, self._lock = records, Lock()
        self._asked_at, self._workers = float("-inf"), list[Worker]()

    def now(self) -> list[Worker]:
        with self._lock:
            if time.monotonic() - self._asked_at > FRESH_SECONDS:
                self._workers = self._records.workers(time.time() - ALIVE_SECONDS)
                self._asked_at = time.monotonic()
            return self._workers


def waiting_for(records: Records, jobs: Sequence[Job], workers: Sequence[Worker]) -> dict[str, WaitingFor]:
    """Of these jobs those that wait for what no worker has, by their ids: queued ones, and searches of which a turn or
    a trial waits."""
    untaken = [
        job for job in jobs if may_wait(job) and not any(worker.takes(job.needs) for worker in workers)
    ]
    begun = [job.id for job in untaken if job.state != rules.QUEUED]
    waits = records.waiting_searches(begun) if begun else frozenset()
    return {job.id: _lacking(job, workers) for job in untaken if job.id in waits or job.state == rules.QUEUED}


def may_wait(job: Job) -> bool:
    return job.state == rules.QUEUED or (job.searches and job.state not in FINISHED)


def _lacking(job: Job, workers: Sequence[Worker]) -> WaitingFor:
    """Of several that no one worker has together, the first that none has at all, else the first."""
    lacking = [need for need in job.needs if not any(worker.takes([need]) for worker in workers)]
    since = job.created_at if job.queued_at is None else job.queued_at
    return WaitingFor(capability=[*lacking, *job.needs][0], since=at(since))
