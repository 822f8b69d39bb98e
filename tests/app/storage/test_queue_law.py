"""The law of the queue: reapers never make it longer than what waits, and what waits reaches a worker that is idle.

Over every order of events that hypothesis can think of; then with 200 jobs that wait for ten minutes, on the real
brokers and databases.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from app.queue import CeleryQueue, MemoryQueue
from app.settings import Settings
from app.storage.memory import MemoryRecords
from app.storage.ports import Records
from app.storage.reaper import reap_once
from app.storage.records import JobFilter, Page, Wake
from tests.support.records import a_job, an_upload
from tests.support.redis import redis_server

LEASE = 30.0
REPUBLISH = 60.0
LOOK = 15.0


class QueueLaw(RuleBasedStateMachine):
    """One queue of jobs, several reapers, workers that take what they like; messages get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.records, self.queue, self.now = MemoryRecords(), MemoryQueue(), 1000.0
        self.model, _ = self.records.add_upload(an_upload(state="ready"))
        self.held: list[tuple[str, int]] = []

    # what clients do

    @rule(lost=st.booleans())
    def submit(self, lost: bool) -> None:
        job, _ = self.records.add_job(a_job(self.model, created_at=self.now), None)
        if not lost:
            self.queue.publish(Wake(queue="cpu", id=job.id))

    @rule(n=st.integers(0, 9))
    def cancel(self, n: int) -> None:
        if waiting := self.waiting():
            self.records.cancel_job("local", waiting[n % len(waiting)], self.now)

    # what brokers and workers do

    @rule(n=st.integers(0, 9))
    def lose(self, n: int) -> None:
        if self.queue.published:
            del self.queue.published[n % len(self.queue.published)]

    @rule()
    def lose_all(self) -> None:
        self.queue.published.clear()

    @rule()
    def take(self) -> None:
        self.work()

    @rule(n=st.integers(0, 9), good=st.booleans())
    def finish(self, n: int, good: bool) -> None:
        if self.held:
            id, attempt = self.held.pop(n % len(self.held))
            if good:
                self.records.finish(id, attempt, self.now, {"state": "succeeded"})
            elif self.records.release(id, attempt, self.now):
                self.queue.publish(Wake(queue="cpu", id=id))

    # what time and reapers do

    @rule(seconds=st.sampled_from([1.0, 15.0, 60.0, 3600.0]), reapers=st.integers(1, 4))
    def pass_time(self, seconds: float, reapers: int) -> None:
        self.now += seconds
        before, held = len(self.queue.published), len(self.records.held())
        for _ in range(reapers):
            self.reap()
        released = held - len(self.records.held())
        assert len(self.queue.published) <= max(before + released, len(self.waiting()))

    def teardown(self) -> None:
        """A worker that has nothing else to do gets all that waits, though every message may have been lost."""
        for _ in range(4 + len(self.waiting())):
            while self.work():
                pass
            for id, attempt in self.held:
                self.records.finish(id, attempt, self.now, {"state": "succeeded"})
            self.held.clear()
            self.now += REPUBLISH + LOOK
            self.reap()
        assert self.waiting() == []

    def reap(self) -> None:
        reap_once(self.records, self.queue, now=self.now, republish_seconds=REPUBLISH, look_seconds=LOOK)

    def work(self) -> bool:
        """Take a message; claim what it names. False when there is none."""
        if not self.queue.published:
            return False
        id = self.queue.published.pop(0).id
        item = self.records.claim(id, self.now, LEASE)
        if item is not None:
            self.held.append((id, item.attempt))
        return True

    def waiting(self) -> list[str]:
        return [job.id for job in self.records.jobs("local", JobFilter(state="queued"), Page(limit=10_000))]


QueueLaw.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueueLaw = QueueLaw.TestCase


# --- on the real brokers and databases

JOBS = 200
REAPERS = 4


@pytest.fixture
def queues(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[CeleryQueue]]:
    """One for each reaper."""
    if request.param == "files":
        yield [CeleryQueue(Settings(data_dir=tmp_path)) for _ in range(REAPERS)]
        return
    with redis_server() as server:
        yield [CeleryQueue(Settings(data_dir=tmp_path, broker_url=server.url)) for _ in range(REAPERS)]


@pytest.mark.parametrize(
    ("records", "queues"),
    [
        ("memory", "files"),
        pytest.param("sqlite", "redis", marks=pytest.mark.integration),
        pytest.param("postgresql", "files", marks=pytest.mark.integration),
    ],
    indirect=True,
)
def test_after_ten_minutes_the_queue_is_as_long_as_what_waits(
    records: Records, queues: list[CeleryQueue]
) -> None:
    """Ten minutes of a driven clock, in which every reaper has its turn every ten seconds."""
    model, _ = records.add_upload(an_upload(state="ready"))
    for n in range(JOBS):
        job, _ = records.add_job(a_job(model, created_at=1000.0 + n / 100), None)
        assert n % 40 == 0 or queues[0].publish(Wake(queue="cpu", id=job.id))
    lengths = []
    for second in range(0, 600, 10):
        for queue in queues:
            reap_once(records, queue, now=1005.0 + second, republish_seconds=REPUBLISH, look_seconds=LOOK)
        lengths.append(queues[0].length("cpu"))
    assert lengths[0] == JOBS - JOBS // 40
    assert set(lengths[9:]) == {JOBS}, "five were lost and found again, and no more were sent"
