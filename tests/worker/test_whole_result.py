"""What is killed while it draws the page of a job costs the page: real children and a real worker, really killed."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from app.machine import usable_cores
from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.open import open_blobs, open_records
from app.storage.ports import Blobs, Records
from app.storage.records import LOCAL_OWNER, Job
from tests.support.asked import report
from tests.support.forked import until_servers_are_ready
from tests.support.graphs import cnn
from tests.support.killed_drawing import CHILD, WAITS
from tests.support.records import a_job, a_trial, an_inquiry, an_upload
from winnow.contract.report import Report
from worker.child.endings import Crashed
from worker.runner import Runner
from worker.scratch import Scratch
from worker.whole_result import note_of, take_over, why_ended

LEASE_SECONDS = 30.0


class Host:
    """Stores in a folder, and one job in them."""

    def __init__(self, folder: Path, seed: int) -> None:
        until_servers_are_ready(usable_cores())
        self.settings = Settings(data_dir=folder / "var", lease_seconds=LEASE_SECONDS)
        self.records: Records = open_records(self.settings)
        self.blobs: Blobs = open_blobs(self.settings)
        onnx.save(cnn(), folder / "model.onnx")
        sha256 = self.blobs.put_file(folder / "model.onnx")[0]
        model = self.records.add_upload(an_upload(sha256, state="ready"))[0]
        request = {
            "model": model.id,
            "recipe": {"steps": [{"kind": "float16"}]},
            "benchmark": {"rounds": 9},
            "seed": seed,
        }
        self.id = self.records.add_job(a_job(model, request=request), None)[0].id

    def job(self) -> Job:
        job = self.records.job(LOCAL_OWNER, self.id)
        assert job is not None
        return job

    def runner(self, child: str) -> Runner:
        return Runner(self.settings, self.records, self.blobs, MemoryQueue(), child=child)

    def messages(self) -> list[str]:
        return [event.message for event in self.records.events(self.id, 0, 1000)]


def assert_all_but_the_page(host: Host, why: str) -> None:
    """It is there, of one attempt at the work; and the page is made of it."""
    job = host.job()
    assert (job.state, job.outcome, job.page_sha256) == ("succeeded", "unchecked", None), job.problem
    assert job.report_sha256 is not None
    stored = Report.model_validate_json(host.blobs.source(job.report_sha256).read_bytes())
    assert stored.artifact_sha256 == job.artifact_sha256
    assert host.messages().count("float16 begins") == 1
    assert any("The report page was not made" in message and why in message for message in host.messages())
    question = an_inquiry(None, None, kind="page", job=host.id, question={"report": job.report_sha256})
    host.records.add_inquiry(question)
    host.runner("worker.child").run(question.id)
    page = host.job().page_sha256
    assert page is not None
    assert b"</html>" in host.blobs.source(page).read_bytes()


def test_a_child_that_is_killed_over_the_page_has_done_its_job(tmp_path: Path) -> None:
    host = Host(tmp_path, seed=0)
    host.runner(CHILD).run(host.id)
    assert_all_but_the_page(host, "SIGKILL")
    assert host.job().attempt == 1


def test_the_next_attempt_takes_over_what_a_worker_left_that_was_killed_over_the_page(tmp_path: Path) -> None:
    host = Host(tmp_path, seed=WAITS)
    kill_its_worker(host)
    assert host.job().state == "running"
    host.records.reap(time.time() + LEASE_SECONDS + 1, 0.0)
    host.runner(CHILD).run(host.id)
    assert_all_but_the_page(host, "worker of the attempt before died")
    assert host.job().attempt == 2
    assert not (host.settings.scratch_dir / host.id).exists()


def test_of_an_artifact_that_is_not_the_report_s_nothing_is_taken_over(tmp_path: Path) -> None:
    host = Host(tmp_path, seed=WAITS)
    kill_its_worker(host)
    (left,) = host.settings.scratch_dir.glob("job_*/attempt-1")
    (left / "artifact.onnx").write_bytes(b"half of it")
    host.records.reap(time.time() + LEASE_SECONDS + 1, 0.0)
    host.runner("worker.child").run(host.id)
    job = host.job()
    assert (job.state, job.attempt) == ("succeeded", 2)
    assert job.page_sha256 is not None


def whole(folder: Path) -> Path:
    """A folder with an artifact, and a report that names it."""
    folder.mkdir(parents=True)
    (folder / "artifact.onnx").write_bytes(b"small")
    named = report(artifact_sha256=hashlib.sha256(b"small").hexdigest())
    (folder / "report.json").write_text(named.model_dump_json())
    return folder


def test_a_trial_that_goes_on_takes_over_nothing_of_its_shorter_training(tmp_path: Path) -> None:
    scratch, first = Scratch(tmp_path), replace(a_trial(a_job()), attempt=1, share=1 / 9)
    whole(scratch.folder(first))
    assert not take_over(scratch, replace(first, attempt=2, rung=1, share=1 / 3))
    assert take_over(scratch, replace(first, attempt=2))


def test_a_page_that_was_made_is_not_said_to_be_missing(tmp_path: Path) -> None:
    job, folder = a_job(), whole(tmp_path / "attempt-1")
    trial, final = a_trial(job), a_trial(job, role="final")
    why = why_ended(Crashed("SIGKILL"), job, folder)
    assert why == "SIGKILL"
    for item, said in ((job, "page was not made"), (final, "page was not made"), (trial, "whole already")):
        assert said in note_of(item, folder, why).message
    (folder / "page.html").touch()
    assert "whole already" in note_of(job, folder, why).message


def kill_its_worker(host: Host) -> None:
    """While its child draws."""
    worker = subprocess.Popen([sys.executable, "-m", CHILD, str(host.settings.data_dir), host.id])
    try:
        wait_for(lambda: "drawing" in host.messages())
    finally:
        worker.kill()
        worker.wait()


def wait_for(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        if time.monotonic() > deadline:
            pytest.fail("it never came to that")
        time.sleep(0.1)
