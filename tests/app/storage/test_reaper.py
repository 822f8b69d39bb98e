import time
from pathlib import Path

import pytest

from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.ports import Blobs, Records
from app.storage.reaper import SWEEP_SECONDS, Reaper, reap_once, sweep_once
from app.storage.records import Wake
from tests.support.records import a_job, an_upload


def put(blobs: Blobs, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def test_what_a_dead_worker_held_is_published_again(records: Records) -> None:
    model, _ = records.add_upload(an_upload(state="ready"))
    job, _ = records.add_job(a_job(model), None)
    records.claim(job.id, 1000.0, 30.0)
    queue = MemoryQueue()
    assert reap_once(records, queue.publish, now=1030.0, republish_seconds=60.0) == []
    assert queue.published == [Wake(queue="work", id=job.id)]
    assert records.claim(job.id, 1031.0, 30.0) is not None


def test_what_the_broker_does_not_take_is_published_when_it_is_back(records: Records) -> None:
    ids = [records.add_upload(an_upload(f"{n:064}", created_at=float(n)))[0].id for n in range(3)]
    taken: list[str] = []

    def takes_one(wake: Wake) -> bool:
        if taken:
            return False
        taken.append(wake.id)
        return True

    unsent = reap_once(records, takes_one, now=1000.0, republish_seconds=60.0)
    assert taken == ids[:1]
    assert [wake.id for wake in unsent] == ids[1:]
    queue = MemoryQueue()
    assert reap_once(records, queue.publish, now=1001.0, republish_seconds=60.0, unsent=unsent) == []
    assert [wake.id for wake in queue.published] == ids[1:]


def test_however_long_the_broker_is_away_each_is_published_once(records: Records) -> None:
    ids = [records.add_upload(an_upload(f"{n:064}", created_at=float(n)))[0].id for n in range(3)]
    unsent: list[Wake] = []
    for minute in range(1, 5):
        unsent = reap_once(
            records, lambda _: False, now=1000.0 + 61 * minute, republish_seconds=60.0, unsent=unsent
        )
    assert [wake.id for wake in unsent] == ids


def test_bytes_that_no_record_names_are_swept_after_the_grace(records: Records, blobs: Blobs) -> None:
    named, stray = put(blobs, b"named"), put(blobs, b"stray")
    records.add_upload(an_upload(named))
    assert sweep_once(records, blobs, now=time.time(), grace_seconds=600.0) == []
    assert sweep_once(records, blobs, now=time.time() + 601, grace_seconds=600.0) == [stray]
    assert (blobs.size(named), blobs.size(stray)) == (5, None)


def test_a_turn_sweeps_when_the_last_sweep_is_a_minute_ago(tmp_path: Path) -> None:
    records, blobs, queue = MemoryRecords(), MemoryBlobs(), MemoryQueue()
    stray = put(blobs, b"stray")
    reaper = Reaper(records, blobs, queue.publish, Settings(data_dir=tmp_path, blob_grace_seconds=0.0))
    reaper.turn(time.time() + SWEEP_SECONDS - 5)
    assert blobs.size(stray) is not None
    reaper.turn(time.time() + SWEEP_SECONDS + 5)
    assert blobs.size(stray) is None


class Breaks(MemoryRecords):
    """Cannot be reached the first time."""

    asked = 0

    def reap(self, now: float, queued_before: float) -> list[Wake]:
        self.asked += 1
        if self.asked == 1:
            raise OSError("the database is away")
        return super().reap(now, queued_before)


def test_the_thread_goes_on_after_an_error_and_stops_when_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records, queue = Breaks(), MemoryQueue()
    waiting, _ = records.add_upload(an_upload(created_at=0.0))
    reaper = Reaper(records, MemoryBlobs(), queue.publish, Settings(data_dir=tmp_path, lease_seconds=0.05))
    reaper.start()
    deadline = time.monotonic() + 20
    while not queue.published and time.monotonic() < deadline:
        time.sleep(0.01)
    reaper.stop()
    assert queue.published == [Wake(queue="inspect", id=waiting.id)]
    assert "the database is away" in caplog.text
    asked = records.asked
    time.sleep(0.2)
    assert records.asked == asked


def test_a_reaper_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    Reaper(MemoryRecords(), MemoryBlobs(), MemoryQueue().publish, Settings(data_dir=tmp_path)).stop()
