import time

import pytest

from app.storage.memory import MemoryRecords
from app.storage.records import LOCAL_OWNER, Job
from tests.support.records import a_job, an_upload
from worker.child.protocol import Logged
from worker.heartbeat import Heartbeat


class Unsteady(MemoryRecords):
    """Records whose store cannot be reached while `away`."""

    away = False

    def renew(self, *arguments: object) -> bool:  # type: ignore[override]
        self._reach()
        return super().renew(*arguments)  # type: ignore[arg-type]

    def cancel_requested(self, id: str, attempt: int) -> bool:
        self._reach()
        return super().cancel_requested(id, attempt)

    def report(self, *arguments: object, **named: object) -> bool:  # type: ignore[override]
        self._reach()
        return super().report(*arguments, **named)  # type: ignore[arg-type]

    def _reach(self) -> None:
        if self.away:
            raise ConnectionError("the database is away")


def claimed(records: MemoryRecords, lease: float) -> Job:
    model = records.add_upload(an_upload())[0]
    request = {"recipe": {"steps": [{}]}}
    id = records.add_job(a_job(model, request=request), None)[0].id
    job = records.claim(id, time.time(), lease)
    assert isinstance(job, Job)
    return job


@pytest.fixture
def records() -> Unsteady:
    return Unsteady()


def test_a_store_that_is_away_stops_nothing_while_the_lease_lasts(records: Unsteady) -> None:
    job = claimed(records, 60)
    heartbeat = Heartbeat(records, job, 60, lambda: False)
    records.away = True
    heartbeat.note(Logged(message="kept for later"))
    assert heartbeat.tick() is None
    records.away = False
    heartbeat.report()
    assert [e.message for e in records.events(job.id, 0, 10)][-1] == "kept for later"


def test_a_store_that_is_away_for_longer_than_the_lease_ends_the_attempt(records: Unsteady) -> None:
    heartbeat = Heartbeat(records, claimed(records, 0.0), 0.0, lambda: False)
    records.away = True
    assert heartbeat.tick() == "fenced"


def test_the_end_is_written_when_the_store_comes_back(records: Unsteady) -> None:
    heartbeat = Heartbeat(records, claimed(records, 60), 60, lambda: False)
    answers = iter([ConnectionError("away"), True])

    def write() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert heartbeat.insist(write)


def test_a_cancel_is_told_from_being_fenced(records: Unsteady) -> None:
    job = claimed(records, 60)
    records.cancel_job(LOCAL_OWNER, job.id, time.time())
    assert Heartbeat(records, job, 60, lambda: False).tick() == "cancelled"
    records.release(job.id, job.attempt, time.time())
    assert Heartbeat(records, job, 60, lambda: False).tick() == "fenced"


def test_what_takes_long_keeps_the_lease(records: Unsteady) -> None:
    job = claimed(records, 0.6)
    heartbeat = Heartbeat(records, job, 0.6, lambda: False)
    assert heartbeat.during(lambda: time.sleep(1.2) or "stored") == "stored"  # type: ignore[func-returns-value]
    assert records.reap(time.time(), 15.0).released == []
