"""Runners on hosts that share records and a bucket, and nothing else; and one whose bucket is away."""

from pathlib import Path
from typing import BinaryIO

import pytest

from app.settings import Settings
from app.storage.memory_blobs import MemoryBlobs, MemoryWriter
from app.storage.ports import StoreAway
from tests.worker.test_runner import Bench
from worker import outcome
from worker import runner as runner_module
from worker.child.endings import Stopped
from worker.runner import Runner

pytestmark = pytest.mark.usefixtures("forked_children")


def another_host(bench: Bench, folder: Path) -> Runner:
    settings = Settings(data_dir=folder, blobs_url="s3://shared")
    return Runner(settings, bench.records, bench.blobs, bench.queue, child="tests.support.child")


def test_a_job_goes_on_after_the_checkpoint_of_a_host_that_is_gone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "first", blobs_url="s3://shared")  # type: ignore[arg-type]
    id = bench.job("keep")
    bench.runner.run(id)
    assert bench.state(id).state == "queued"
    assert {c.sha256 for c in bench.records.checkpoints(id)} <= bench.records.live_blobs()
    another_host(bench, tmp_path / "second").run(id)
    assert bench.state(id).state == "succeeded"
    [event] = [event for event in bench.records.events(id, 0, 100) if event.message == "goes on"]
    assert event.values == {"content": "after the first step"}
    assert bench.records.live_blobs().isdisjoint(c.sha256 for c in bench.records.checkpoints(id))


def test_on_one_host_nothing_is_handed_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    id = bench.job("keep")
    bench.runner.run(id)
    assert bench.records.checkpoints(id) == []
    bench.runner.run(id)
    assert bench.state(id).state == "succeeded"


class Away(MemoryBlobs):
    """Cannot be reached for the first `times`."""

    times = 0

    def source(self, sha256: str) -> Path:
        self._reach()
        return super().source(sha256)

    def writer(self) -> MemoryWriter:
        self._reach()
        return super().writer()

    def open(self, sha256: str) -> BinaryIO | None:
        self._reach()
        return super().open(sha256)

    def _reach(self) -> None:
        if self.times > 0:
            self.times -= 1
            raise StoreAway("nobody listens")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(outcome, "STORE_AGAIN_SECONDS", 0.0)
    bench = Bench(tmp_path)
    bench.blobs = Away()
    bench.runner = Runner(
        bench.settings, bench.records, bench.blobs, bench.queue, child="tests.support.child"
    )
    return bench


def test_a_job_whose_files_cannot_be_had_waits_and_has_lost_no_attempt(bench: Bench) -> None:
    """The reaper announces it again: it is not taken over and over meanwhile."""
    id = bench.job("succeed")
    bench.blobs.times = 1
    bench.runner.run(id)
    job = bench.state(id)
    assert (job.state, job.max_attempts - job.attempt) == ("queued", 3)
    assert bench.queue.published == []
    assert any("cannot be had from the store" in message for message in bench.messages(id))
    bench.runner.run(id)
    assert bench.state(id).state == "succeeded"


def test_a_job_whose_data_cannot_be_had_while_it_works_waits_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = bench.job("succeed")
    monkeypatch.setattr(runner_module, "supervise", lambda *args, **options: Stopped("store_away"))
    bench.runner.run(id)
    job = bench.state(id)
    assert (job.state, job.max_attempts - job.attempt) == ("queued", 3)
    assert any("its data cannot be had from the store" in message for message in bench.messages(id))


@pytest.mark.parametrize("order", ["succeed", "train", "diverge"])
def test_results_are_stored_when_the_store_is_there_again(bench: Bench, order: str) -> None:
    id = bench.job(order)
    writers = bench.blobs.writer

    def first_away() -> MemoryWriter:
        bench.blobs.writer = writers  # type: ignore[method-assign]
        bench.blobs.times = 2
        return writers()

    bench.blobs.writer = first_away  # type: ignore[method-assign]
    bench.runner.run(id)
    job = bench.state(id)
    assert job.attempt == 1
    assert job.state == ("failed" if order == "diverge" else "succeeded")
    assert job.artifact_sha256 is not None
    assert (job.curves_sha256 is not None) == (order != "succeed")
