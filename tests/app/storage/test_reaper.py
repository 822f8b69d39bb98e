import time
from pathlib import Path

import pytest

from app.queue import MemoryQueue, WakeUp
from app.settings import Settings
from app.storage.local_partials import LocalPartials
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.ports import Blobs, Records
from app.storage.reaper import SWEEP_SECONDS, Reaper, reap_once, sweep_once
from app.storage.records import Queue, Reaped, Transfer, Wake
from tests.support.records import a_job, an_upload


def put(blobs: Blobs, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def reap(records: Records, queue: WakeUp, now: float) -> list[str]:
    """As a reaper does it whose settings are the defaults."""
    return [w.id for w in reap_once(records, queue, now=now, republish_seconds=60.0, look_seconds=15.0)]


def waiting_jobs(records: Records, count: int) -> list[str]:
    model, _ = records.add_upload(an_upload(state="ready"))
    return [records.add_job(a_job(model, created_at=float(n)), None)[0].id for n in range(count)]


class Full(MemoryQueue):
    """A broker that takes no messages, but says how many it has."""

    full = True

    def publish(self, wake: Wake) -> bool:
        return not self.full and super().publish(wake)


class Away(MemoryQueue):
    """A broker that cannot be reached."""

    away = True

    def publish(self, wake: Wake) -> bool:
        return not self.away and super().publish(wake)

    def length(self, queue: Queue) -> int | None:
        return None if self.away else super().length(queue)


def test_what_a_dead_worker_held_is_published_again(records: Records) -> None:
    (job,) = waiting_jobs(records, 1)
    records.claim(job, 1000.0, 30.0)
    queue = MemoryQueue()
    assert reap(records, queue, 1030.0) == [job]
    assert queue.published == [Wake(queue="cpu", id=job)]
    assert records.claim(job, 1031.0, 30.0) is not None


def test_only_what_the_broker_lacks_is_published_again(records: Records) -> None:
    jobs, queue = waiting_jobs(records, 5), MemoryQueue()
    queue.published = [Wake(queue="cpu", id=id) for id in jobs[2:]]
    assert reap(records, queue, 1000.0) == jobs[:2]
    assert reap(records, queue, 2000.0) == []
    queue.published = []
    assert reap(records, queue, 3000.0) == jobs


def test_what_was_just_given_back_is_not_taken_for_lost(records: Records) -> None:
    """Its message is sent in a moment; the others have theirs."""
    jobs, queue = waiting_jobs(records, 3), MemoryQueue()
    queue.published = [Wake(queue="cpu", id=id) for id in jobs[1:]]
    records.claim(jobs[0], 1000.0, 30.0)
    assert reap(records, queue, 1030.0) == jobs[:1]
    records.claim(jobs[0], 1060.0, 30.0)
    queue.published.pop()
    records.release(jobs[0], 2, 1070.0)
    assert len(reap(records, queue, 1080.0)) == 1


def test_what_the_broker_does_not_take_is_published_when_it_is_back(records: Records) -> None:
    jobs, queue = waiting_jobs(records, 3), Away()
    assert reap(records, queue, 1000.0) == []
    queue.away = False
    assert reap(records, queue, 1015.0) == jobs


def test_a_broker_that_goes_away_meanwhile_gets_the_rest_a_minute_later(records: Records) -> None:
    jobs, queue = waiting_jobs(records, 3), Full()
    assert reap(records, queue, 1000.0) == []
    queue.full = False
    assert reap(records, queue, 1015.0) == []
    assert reap(records, queue, 1060.0) == jobs


def test_bytes_that_no_record_names_are_swept_after_the_grace(records: Records, blobs: Blobs) -> None:
    named, stray = put(blobs, b"named"), put(blobs, b"stray")
    records.add_upload(an_upload(named))
    assert sweep_once(records, blobs, now=time.time(), grace_seconds=600.0) == []
    assert sweep_once(records, blobs, now=time.time() + 601, grace_seconds=600.0) == [stray]
    assert (blobs.size(named), blobs.size(stray)) == (5, None)


def test_a_turn_sweeps_when_the_last_sweep_is_a_minute_ago(tmp_path: Path) -> None:
    records, blobs, queue = MemoryRecords(), MemoryBlobs(), MemoryQueue()
    stray = put(blobs, b"stray")
    reaper = Reaper(records, blobs, queue, Settings(data_dir=tmp_path, blob_grace_seconds=0.0))
    reaper.turn(time.time() + SWEEP_SECONDS - 5)
    assert blobs.size(stray) is not None
    reaper.turn(time.time() + SWEEP_SECONDS + 5)
    assert blobs.size(stray) is None


def test_a_turn_drops_uploads_that_nobody_goes_on_with(tmp_path: Path) -> None:
    records, now = MemoryRecords(), time.time()
    chosen = Settings(data_dir=tmp_path, upload_ttl_seconds=600.0)
    reaper = Reaper(records, MemoryBlobs(), MemoryQueue(), chosen)
    partial = LocalPartials(chosen.partial_dir, MemoryBlobs()).open("upl_1")
    partial.write(b"half of a model")
    partial.close()
    transfer = Transfer(id="upl_1", kind="model", length=30, created_at=now, expires_at=now + 600)
    records.add_transfer(transfer)
    reaper.turn(now + SWEEP_SECONDS + 5)
    assert [*chosen.partial_dir.iterdir()] != []
    assert records.transfer("local", "upl_1", now) is not None
    reaper.turn(now + 700)
    assert [*chosen.partial_dir.iterdir()] == []
    assert records.transfer("local", "upl_1", now) is None


class Breaks(MemoryRecords):
    """Cannot be reached the first time."""

    asked = 0

    def reap(self, now: float, look_seconds: float) -> Reaped:
        self.asked += 1
        if self.asked == 1:
            raise OSError("the database is away")
        return super().reap(now, look_seconds)


def test_the_thread_goes_on_after_an_error_and_stops_when_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records, queue = Breaks(), MemoryQueue()
    waiting, _ = records.add_upload(an_upload(created_at=0.0))
    reaper = Reaper(records, MemoryBlobs(), queue, Settings(data_dir=tmp_path, lease_seconds=0.05))
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
    Reaper(MemoryRecords(), MemoryBlobs(), MemoryQueue(), Settings(data_dir=tmp_path)).stop()
