import errno
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.ids import new_id
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.records import LOCAL_OWNER, Job, JobFilter, Page, Upload, Wake
from tests.support.child import LIES
from tests.support.records import a_worker, an_inquiry
from worker import room, runner
from worker.leaving import Leaving
from worker.room import Room
from worker.runner import Runner

pytestmark = pytest.mark.usefixtures("forked_children")


class Bench:
    """A runner over stores in memory, whose children do as the test says."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.settings = Settings(
            data_dir=folder, lease_seconds=settings.pop("lease_seconds", 30.0), **settings
        )  # type: ignore[arg-type]
        self.records, self.blobs, self.queue = MemoryRecords(), MemoryBlobs(), MemoryQueue()
        self.leaving = Leaving(self.settings.grace_seconds)
        self.runner = Runner(
            self.settings,
            self.records,
            self.blobs,
            self.queue,
            self.leaving,
            "tests.support.child",
            ["onnxruntime-cpu", "torch"],
            "wrk_1",
        )

    def model(self, order: str = "", state: str = "ready", format: str = "onnx") -> Upload:
        sha256, size = self._bytes()
        declared = {"inputs": [{"name": order, "dtype": "float32", "shape": [1]}]} if order else {}
        upload = Upload(
            id=new_id("mdl"),
            kind="model",
            name="m",
            format=format,
            sha256=sha256,
            size_bytes=size,
            state=state,
            created_at=1.0,
            declaration=declared,
        )
        return self.records.add_upload(upload)[0]

    def dataset(self, order: str) -> Upload:
        sha256, size = self._bytes()
        upload = Upload(
            id=new_id("dst"),
            kind="dataset",
            name="d",
            format="npz",
            sha256=sha256,
            size_bytes=size,
            state="inspecting",
            created_at=1.0,
            declaration={"constants": {order: 1}},
        )
        return self.records.add_upload(upload)[0]

    def job(
        self,
        order: str,
        model_state: str = "ready",
        step: dict[str, Any] | None = None,
        format: str = "onnx",
        target: str = "onnxruntime-cpu",
        priority: int = 0,
        **limits: float,
    ) -> str:
        model = self.model(state=model_state, format=format)
        request = {
            "model": model.id,
            "recipe": {"steps": [{"kind": "int8_dynamic", "exclude": [order], **(step or {})}]},
            "target": target,
            "limits": limits,
        }
        job = Job(
            id=new_id("job"),
            state="queued",
            created_at=1.0,
            priority=priority,
            model=model.id,
            uses=(model.id,),
            request=request,
        )
        return self.records.add_job(job, None)[0].id

    def state(self, id: str) -> Job:
        job = self.records.job(LOCAL_OWNER, id)
        assert job is not None
        return job

    def inspected(self, upload: Upload) -> Upload:
        found = self.records.upload(LOCAL_OWNER, upload.kind, upload.id)
        assert found is not None
        return found

    def messages(self, id: str) -> list[str]:
        return [event.message for event in self.records.events(id, 0, 1000)]

    def curves(self, id: str) -> dict[str, bytes]:
        """Name and content of what is in the job's zip."""
        job = self.state(id)
        assert job.curves_sha256 is not None
        path = self.blobs.source(job.curves_sha256)
        assert job.curves_bytes == path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    def scratch(self) -> list[str]:
        return sorted(str(path.relative_to(self.settings.scratch_dir)) for path in self._scratch_files())

    def _scratch_files(self) -> list[Path]:
        return [path for path in self.settings.scratch_dir.rglob("*") if path.is_file()]

    def _bytes(self) -> tuple[str, int]:
        writer = self.blobs.writer()
        writer.write(b"content")
        return writer.commit()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def unfiltered(tmp_path: Path) -> Bench:
    """Where the kernel lets a child make links: what the worker itself does not fall for."""
    return Bench(tmp_path, child_filters=False)


def test_a_job_for_a_runtime_of_another_worker_is_left_to_it(bench: Bench) -> None:
    id = bench.job("fine", target="openvino-cpu")
    bench.records.worker_seen(a_worker(runtimes={"onnxruntime-cpu": "1", "openvino-cpu": "1"}), 0.0)
    bench.runner.run(id)
    assert (bench.state(id).state, bench.state(id).attempt) == ("queued", 0)
    assert bench.messages(id) == ["waiting for a worker"]


def test_a_job_for_a_runtime_that_nobody_has_is_tried_here(bench: Bench) -> None:
    """The child says what is missing; else the job would wait for ever."""
    id = bench.job("fine", target="openvino-cpu")
    bench.runner.run(id)
    assert bench.state(id).attempt == 1


def run_until(bench: Bench, id: str, reached: Callable[[], bool], act: Callable[[], object]) -> float:
    """Run it in a thread, act when something is reached; the seconds that it then still took."""
    thread = Thread(target=bench.runner.run, args=[id])
    thread.start()
    while not reached():
        assert thread.is_alive()
        time.sleep(0.01)
    act()
    acted = time.monotonic()
    thread.join(20)
    assert not thread.is_alive()
    return time.monotonic() - acted


def test_a_job_that_succeeds_has_its_artifact_report_outcome_and_requirements(bench: Bench) -> None:
    id = bench.job("succeed")
    bench.runner.run(id)
    job = bench.state(id)
    assert (job.state, job.outcome, job.progress) == ("succeeded", "requirements_not_met", 1.0)
    assert job.artifact_sha256 is not None
    assert job.artifact_bytes == len(b"artifact")
    assert bench.blobs.source(job.artifact_sha256).read_bytes() == b"artifact"
    assert job.report_sha256 in bench.records.live_blobs()
    assert job.requirements is not None
    assert job.requirements[0]["why"] == "slow"
    assert not (bench.settings.scratch_dir / id).exists()


def test_what_is_finished_is_not_run_again(bench: Bench) -> None:
    id = bench.job("succeed")
    bench.runner.run(id)
    bench.runner.run(id)
    assert bench.messages(id).count("finished") == 1
    assert bench.state(id).attempt == 1


def test_a_refusal_fails_the_job_with_its_problem(bench: Bench) -> None:
    id = bench.job("refuse")
    bench.runner.run(id)
    job = bench.state(id)
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem["detail"] == "this one is refused"


def test_a_crash_gives_the_job_back_and_the_next_attempt_finds_the_checkpoints(bench: Bench) -> None:
    id = bench.job("once")
    bench.runner.run(id)
    assert bench.state(id).state == "queued"
    assert [wake.id for wake in bench.queue.published] == [id]
    assert any("SIGKILL" in message for message in bench.messages(id))
    bench.runner.run(id)
    assert (bench.state(id).state, bench.state(id).attempt) == ("succeeded", 2)


def test_a_job_that_always_crashes_fails_after_its_attempts(bench: Bench) -> None:
    id = bench.job("segfault")
    for _ in range(5):
        bench.runner.run(id)
    job = bench.state(id)
    assert (job.state, job.attempt) == ("failed", 3)
    assert job.problem is not None
    assert job.problem["code"] == "worker_lost"
    assert "its events say in which step, and how" in job.problem["detail"]
    for attempt in (1, 2, 3):
        assert f"attempt {attempt} ended early: its process ended with SIGSEGV" in bench.messages(id)


def test_a_cancelled_job_stops_within_two_seconds(bench: Bench) -> None:
    id = bench.job("hang")
    took = run_until(
        bench,
        id,
        lambda: "hanging" in bench.messages(id),
        lambda: bench.records.cancel_job(LOCAL_OWNER, id, time.time()),
    )
    assert bench.state(id).state == "cancelled"
    assert took < 2
    assert bench.scratch() == []


def test_a_worker_that_is_stopped_gives_the_job_back(bench: Bench) -> None:
    id = bench.job("hang")
    run_until(bench, id, lambda: "hanging" in bench.messages(id), bench.leaving.tell)
    assert bench.state(id).state == "queued"
    assert [wake.id for wake in bench.queue.published] == [id]


def test_a_worker_that_is_stopped_passes_on_what_it_has_not_begun(bench: Bench) -> None:
    id = bench.job("succeed")
    bench.leaving.tell()
    bench.runner.take(Wake(queue="cpu", id=id))
    assert (bench.state(id).state, bench.state(id).attempt) == ("queued", 0)
    assert [wake.id for wake in bench.queue.published] == [id]


def test_what_comes_first_is_done_whatever_the_hint_names(bench: Bench) -> None:
    later, first = bench.job("succeed", priority=0), bench.job("succeed", priority=1)
    bench.runner.take(Wake(queue="cpu", id=later))
    assert (bench.state(first).state, bench.state(later).state) == ("succeeded", "queued")
    assert bench.state(first).holder == "wrk_1"
    bench.runner.take(Wake(queue="cpu", id=later))
    assert bench.state(later).state == "succeeded"
    bench.runner.take(Wake(queue="cpu", id=later))
    assert bench.queue.published == []


def test_a_hint_of_another_queue_goes_back_to_where_as_much_waits_as_before(bench: Bench) -> None:
    """Of what comes first, a question or an upload, the hint is still on its way."""
    id, upload = bench.job("succeed"), bench.dataset("succeed")
    hint = Wake(queue="cpu", id=id)
    bench.runner.take(hint)
    assert (bench.inspected(upload).state, bench.state(id).state) == ("ready", "queued")
    assert bench.queue.published == [hint]


def test_a_worker_that_drains_passes_hints_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DRAINED_SECONDS", 0.0)
    id = bench.job("succeed")
    bench.records.worker_seen(a_worker(id="wrk_1"), 0.0)
    bench.records.drain("wrk_1")
    hint = Wake(queue="cpu", id=id)
    bench.runner.take(hint)
    assert (bench.state(id).state, bench.queue.published) == ("queued", [hint])
    bench.records.drain("wrk_1", False)
    bench.runner.take(hint)
    assert bench.state(id).state == "succeeded"


@pytest.mark.parametrize("where", ["in the child", "before it"])
def test_what_met_a_full_disk_is_for_who_has_room_and_this_worker_takes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Until there is room again."""
    monkeypatch.setattr(runner, "DRAINED_SECONDS", 0.0)
    free = bench.settings.keep_free_bytes - 1
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    id, other = bench.job("full" if where == "in the child" else "succeed", priority=1), bench.job("succeed")
    if where == "before it":
        bench.settings.scratch_dir.mkdir()
        monkeypatch.setattr(bench.runner._scratch, "attempt", no_room)
    hint = Wake(queue="cpu", id=other)
    bench.runner.take(hint)
    job = bench.state(id)
    assert (job.state, job.attempt, job.problem) == ("queued", 1, None)
    assert any("the disk of its worker is full" in message for message in bench.messages(id))
    assert bench.scratch() == []
    bench.runner.take(hint)
    assert (bench.state(other).state, bench.state(id).attempt) == ("queued", 1)
    assert [wake.id for wake in bench.queue.published] == [id, other]
    monkeypatch.undo()
    bench.runner.take(hint)
    assert bench.state(id).attempt == 2


def no_room(_item: object) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


def test_work_that_fills_every_disk_fails_with_the_last_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is not rejected for a disk either, before; and the disk of the last worker is as full as the others'."""
    id, dataset = bench.job("full"), bench.dataset("full")
    for _ in range(3):
        assert (bench.state(id).problem, bench.inspected(dataset).state) == (None, "inspecting")
        bench.runner._room = Room(
            bench.settings.data_dir, bench.settings.keep_free_bytes
        )  # of the next worker
        bench.runner.run(id)
        bench.runner.run(dataset.id)
    job, inspected = bench.state(id), bench.inspected(dataset)
    assert (job.state, inspected.state) == ("failed", "rejected")
    assert job.problem is not None
    assert inspected.problem is not None
    assert (job.problem["code"], inspected.problem["code"]) == ("disk_full", "disk_full")
    free = bench.settings.keep_free_bytes - 1
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.setattr(runner, "DRAINED_SECONDS", 0.0)
    other = bench.job("succeed")
    bench.runner.take(Wake(queue="cpu", id=other))
    assert bench.state(other).state == "queued"


def test_what_is_done_may_be_finished_in_the_time_of_grace(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grace_seconds=60.0)
    id = bench.job("slow")
    run_until(bench, id, lambda: "begun" in bench.messages(id), bench.leaving.tell)
    assert (bench.state(id).state, bench.state(id).attempt) == ("succeeded", 1)
    bench.runner.run(bench.job("succeed"))
    assert [job.state for job in bench.records.jobs(LOCAL_OWNER, JobFilter(), Page())].count("queued") == 1


def test_what_is_not_finished_in_it_is_handed_over_and_costs_no_attempt(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grace_seconds=0.5)
    id = bench.job("hang")
    took = run_until(bench, id, lambda: "hanging" in bench.messages(id), bench.leaving.tell)
    job = bench.state(id)
    assert (job.state, job.attempt, job.max_attempts) == ("queued", 1, 4)
    assert took >= 0.5


@pytest.mark.parametrize("given", ["3", None])
def test_a_child_has_the_threads_of_its_worker(
    tmp_path: Path, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    bench = Bench(tmp_path, threads=2)
    id = bench.job("environment")
    bench.runner.run(id)
    (said,) = [event for event in bench.records.events(id, 0, 100) if event.message == "environment"]
    assert said.values["WINNOW_THREADS"] == "2"
    assert said.values["OMP_NUM_THREADS"] == (given or "2"), "what the operator set himself wins"


def test_a_fenced_attempt_stops_and_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lease_seconds=0.6)
    id = bench.job("hang")
    run_until(
        bench,
        id,
        lambda: "hanging" in bench.messages(id),
        lambda: bench.records.release(id, 1, time.time()) and bench.records.claim(id, time.time(), 60),
    )
    assert (bench.state(id).state, bench.state(id).attempt) == ("running", 2)


def test_the_lease_is_renewed_while_the_child_works(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lease_seconds=0.9)
    id = bench.job("hang")

    def reached() -> bool:
        return "hanging" in bench.messages(id) and time.time() > claimed + 2.0

    claimed = time.time()
    run_until(bench, id, reached, lambda: bench.records.cancel_job(LOCAL_OWNER, id, time.time()))
    assert bench.state(id).state == "cancelled"


def test_a_time_limit_fails_the_job_and_says_which(bench: Bench) -> None:
    id = bench.job("hang", seconds=1)
    bench.runner.run(id)
    job = bench.state(id)
    assert job.problem is not None
    assert (job.state, job.problem["code"]) == ("failed", "time_limit_exceeded")
    assert "1 s" in job.problem["detail"]


def test_a_memory_limit_fails_the_job(bench: Bench) -> None:
    id = bench.job("grow", memory_bytes=256 * 2**20)
    bench.runner.run(id)
    job = bench.state(id)
    assert job.problem is not None
    assert (job.state, job.problem["code"]) == ("failed", "memory_limit_exceeded")


def test_a_job_whose_model_was_taken_from_it_fails_with_a_sentence(bench: Bench) -> None:
    id = bench.job("succeed", model_state="rejected")
    bench.runner.run(id)
    job = bench.state(id)
    assert job.problem is not None
    assert (job.state, job.problem["code"]) == ("failed", "model_not_ready")


CURVE = {"0-finetune/events.out.tfevents.1": b"a curve"}


def test_the_curves_of_a_training_are_kept_as_one_zip(bench: Bench) -> None:
    ids = [bench.job("train"), bench.job("train")]
    for id in ids:
        bench.runner.run(id)
        assert bench.state(id).state == "succeeded"
        assert bench.curves(id) == CURVE
    assert bench.state(ids[0]).curves_sha256 in bench.records.live_blobs()
    assert len({bench.state(id).curves_sha256 for id in ids}) == 1  # the same curves are the same bytes


def test_what_trained_nothing_has_no_curves(bench: Bench) -> None:
    id = bench.job("succeed")
    bench.runner.run(id)
    assert (bench.state(id).curves_sha256, bench.state(id).curves_bytes) == (None, None)


def test_curves_are_plain_files_of_the_folder_and_not_too_many(unfiltered: Bench) -> None:
    bench = unfiltered
    id = bench.job("train badly")
    bench.runner.run(id)
    assert bench.state(id).state == "succeeded"
    assert bench.curves(id) == CURVE


def test_curves_outlive_an_attempt_that_crashed_after_the_training(bench: Bench) -> None:
    id = bench.job("train once")
    bench.runner.run(id)
    assert bench.state(id).state == "queued"
    bench.runner.run(id)
    assert bench.state(id).state == "succeeded"
    assert bench.curves(id) == CURVE


def test_what_a_training_says_reaches_the_log_with_its_numbers(bench: Bench) -> None:
    id = bench.job("train")
    bench.runner.run(id)
    (said,) = [event for event in bench.records.events(id, 0, 100) if event.message.startswith("epoch 1")]
    assert said.values == {"epoch": 1, "loss": None}  # JSON has no NaN


def test_a_training_that_diverged_leaves_its_best_weights_and_its_curves(bench: Bench) -> None:
    id = bench.job("diverge")
    bench.runner.run(id)
    job = bench.state(id)
    assert job.state == "failed"
    assert (job.problem or {})["code"] == "training_diverged"
    assert job.artifact_sha256 is not None
    assert bench.blobs.source(job.artifact_sha256).read_bytes() == b"best so far"
    assert job.artifact_bytes == len(b"best so far")
    assert (job.outcome, job.report_sha256) == (None, None)
    assert bench.curves(id) == CURVE
    again = bench.records.retry_job(LOCAL_OWNER, id, time.time(), 3)
    assert again is not None
    assert (again.artifact_sha256, again.curves_sha256) == (None, None)


@pytest.mark.parametrize("order", ["diverge outside", "diverge at once"])
def test_a_training_that_diverged_fails_so_also_without_a_file_of_its_own(
    unfiltered: Bench, order: str
) -> None:
    bench = unfiltered
    id = bench.job(order)
    bench.runner.run(id)
    job = bench.state(id)
    assert (job.state, (job.problem or {})["code"]) == ("failed", "training_diverged")
    assert job.artifact_sha256 is None
    assert bench.curves(id) == CURVE


def test_only_a_training_that_diverged_leaves_an_artifact_when_it_fails(bench: Bench) -> None:
    id = bench.job("refuse")
    bench.runner.run(id)
    assert (bench.state(id).artifact_sha256, bench.state(id).curves_sha256) == (None, None)


def test_an_attempt_that_was_overtaken_leaves_no_weights(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    id = bench.job("diverge")
    store = bench.blobs.put_file

    def overtaken(path: Path) -> tuple[str, int]:
        bench.records.release(id, 1, time.time())
        bench.records.claim(id, time.time(), 60)
        return store(path)

    bench.blobs.put_file = overtaken  # type: ignore[method-assign]
    bench.runner.run(id)
    job = bench.state(id)
    assert (job.state, job.attempt, job.artifact_sha256, job.problem) == ("running", 2, None, None)


def test_teachers_and_students_are_handed_over_as_files(bench: Bench) -> None:
    teacher, student = bench.model("teacher"), bench.model("student")
    step = {"kind": "distillation", "teacher": teacher.id, "student": student.id}
    id = bench.job("models", step=step)
    bench.runner.run(id)
    (said,) = [event for event in bench.records.events(id, 0, 100) if event.message == "models"]
    assert said.values == {teacher.id: "content", student.id: "content"}


def test_a_job_whose_teacher_was_taken_from_it_fails_with_a_sentence(bench: Bench) -> None:
    teacher = bench.model("teacher", "rejected")
    id = bench.job("succeed", step={"kind": "distillation", "teacher": teacher.id})
    bench.runner.run(id)
    problem = bench.state(id).problem or {}
    assert (problem["code"], teacher.id in problem["detail"]) == ("model_not_ready", True)


def test_a_report_that_cannot_be_read_has_no_page_and_a_sentence_says_so(bench: Bench) -> None:
    id = bench.job("succeed")
    job = bench.records.claim(id, time.time(), 30.0)
    assert job is not None
    blob = bench.model().sha256
    made = {"state": "succeeded", "report_sha256": blob, "artifact_sha256": blob}
    assert bench.records.finish(id, job.attempt, time.time(), made)
    asked, _ = bench.records.add_inquiry(
        an_inquiry(None, None, kind="page", job=id, question={"report": blob})
    )
    bench.runner.run(asked.id)
    inquiry = bench.records.inquiry(LOCAL_OWNER, asked.id)
    assert inquiry is not None
    assert (inquiry.state, (inquiry.problem or {})["code"]) == ("rejected", "step_failed")


def test_a_dataset_becomes_ready_with_its_facts(bench: Bench) -> None:
    upload = bench.dataset("succeed")
    bench.runner.run(upload.id)
    assert bench.inspected(upload).state == "ready"
    assert (bench.inspected(upload).facts or {})["samples"] == 3


def test_a_dataset_that_is_refused_is_rejected_with_the_reason(bench: Bench) -> None:
    upload = bench.dataset("refuse")
    bench.runner.run(upload.id)
    assert bench.inspected(upload).state == "rejected"
    assert (bench.inspected(upload).problem or {})["code"] == "invalid_dataset"


def test_a_model_keeps_what_it_was_converted_to(bench: Bench) -> None:
    upload = bench.model("convert", "inspecting")
    bench.runner.run(upload.id)
    converted = bench.inspected(upload).converted
    assert converted is not None
    assert bench.blobs.source(converted).read_bytes() == b"converted"


@pytest.mark.parametrize("format", ["torch_export", "torchscript"])
def test_what_was_never_converted_is_not_opened_by_a_job(bench: Bench, format: str) -> None:
    id = bench.job("succeed", format=format)
    bench.runner.run(id)
    assert (bench.state(id).state, (bench.state(id).problem or {})["code"]) == ("failed", "model_not_ready")


@pytest.mark.parametrize("order", ["outside", "link", "hard link"])
def test_a_child_cannot_have_files_of_ours_published(unfiltered: Bench, order: str) -> None:
    bench = unfiltered
    upload = bench.model(order, "inspecting")
    bench.runner.run(upload.id)
    assert (bench.inspected(upload).state, bench.inspected(upload).converted) == ("inspecting", None)


@pytest.mark.parametrize("order", LIES)
def test_a_result_that_is_not_as_agreed_is_a_crash_of_the_child(bench: Bench, order: str) -> None:
    """The work is given back at once; its lease does not have to run out."""
    upload = bench.model(order, "inspecting")
    bench.runner.run(upload.id)
    assert (bench.inspected(upload).state, bench.inspected(upload).lease_until) == ("inspecting", None)
    assert [wake.id for wake in bench.queue.published] == [upload.id]


@pytest.mark.parametrize("order", ["report without end", "report that is a pipe"])
def test_a_report_is_a_plain_file_and_read_with_a_bound(unfiltered: Bench, order: str) -> None:
    id = unfiltered.job(order)
    unfiltered.runner.run(id)
    assert unfiltered.state(id).state == "queued"
    assert any("could not be stored (ValueError)" in message for message in unfiltered.messages(id))


def test_an_inspection_of_what_was_deleted_does_nothing(bench: Bench) -> None:
    upload = bench.dataset("succeed")
    bench.records.delete_upload(LOCAL_OWNER, "dataset", upload.id)
    bench.runner.run(upload.id)
    assert bench.records.upload(LOCAL_OWNER, "dataset", upload.id) is None
