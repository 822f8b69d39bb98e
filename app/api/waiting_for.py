"""What a waiting job waits for: where no worker that lives is able to do it, the capability that is missing."""

import time
from collections.abc import Sequence
from threading import Lock
from typing import Final

from app.api.times import at
from app.storage import rules
from app.storage.ports import Records
from app.storage.records import ALIVE_SECONDS, Job, Worker
from winnow.contract.capability import WaitingFor

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


def waiting_for(job: Job, workers: Sequence[Worker]) -> WaitingFor | None:
    """Of several that no one worker has together, the first that none has at all, else the first."""
    if job.state != rules.QUEUED or any(worker.takes(job.needs) for worker in workers):
        return None
    lacking = [need for need in job.needs if not any(worker.takes([need]) for worker in workers)]
    since = job.created_at if job.queued_at is None else job.queued_at
    return WaitingFor(capability=[*lacking, *job.needs][0], since=at(since))
