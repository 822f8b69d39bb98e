"""The client against a real service: HTTP, Celery workers, SQLite, files."""

import hashlib
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import onnxruntime as ort
import pytest
from standardwebhooks.webhooks import Webhook

from app.embedded import running
from app.settings import Settings
from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits
from tests.support.http import answering, send
from winnow.client import Client, JobFailed, ServiceProblem, UploadRejected
from winnow.contract.data_uses import DataUse, DataUses
from winnow.contract.dataset import Dataset
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark, Job, JobRequest
from winnow.contract.model import Model
from winnow.contract.recipe import Int8Dynamic, Int8Static, Recipe, Requirements
from winnow.contract.webhook import WebhookPayload


@pytest.fixture(scope="module")
def model(client: Client, files: Digits) -> Model:
    return client.upload_model(files.model)


@pytest.fixture(scope="module")
def dataset(client: Client, files: Digits) -> Dataset:
    return client.upload_dataset(files.data, DECLARATION)


@pytest.fixture(scope="module")
def request_(model: Model, dataset: Dataset) -> JobRequest:
    return JobRequest(
        model=model.id,
        recipe=Recipe(steps=[Int8Static(kind="int8_static")]),
        tags={"team": "client"},
        data=DataUses(
            calibration=DataUse(dataset=dataset.id, slice=CALIBRATION),
            evaluation=DataUse(dataset=dataset.id, slice=EVALUATION),
        ),
        evaluation=Evaluation(metric="top1"),
        require=Requirements(max_size_ratio=1.0),
        benchmark=Benchmark(rounds=9),
    )


@pytest.fixture(scope="module")
def done(client: Client, request_: JobRequest) -> Job:
    return client.wait(client.submit(request_).id)


def test_a_model_is_ready_with_its_facts(model: Model) -> None:
    assert (model.name, model.state, model.format) == ("model.onnx", "ready", "onnx")
    assert model.inputs is not None
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("image", ["batch", 1, 8, 8])]


def test_what_finished_jobs_took_is_told_of_the_next(client: Client, request_: JobRequest, done: Job) -> None:
    before = [job.id for job in client.jobs()]
    answer = client.dry_run(request_)
    assert answer.fits
    assert answer.forecast is not None
    assert answer.forecast.seconds is not None
    assert answer.forecast.memory_bytes is not None
    assert done.finished_at is not None
    assert done.started_at is not None
    took = (done.finished_at - done.started_at).total_seconds()
    assert answer.forecast.seconds[0] <= took
    assert answer.forecast.seconds[1] >= 0.5 * took
    assert answer.forecast.memory_bytes[1] >= 2**20
    assert [job.id for job in client.jobs()] == before


def test_the_same_file_again_is_the_same_model(client: Client, model: Model, files: Digits) -> None:
    assert client.upload_model(files.model) == model == client.model(model.id)


def test_a_webhook_is_told_what_a_worker_found(client: Client, tmp_path: Path) -> None:
    received: SimpleQueue[tuple[bytes, dict[str, str]]] = SimpleQueue()

    def receive(handler: BaseHTTPRequestHandler) -> None:
        received.put((handler.body, dict(handler.headers)))  # type: ignore[attr-defined]
        send(handler, 204)

    broken = tmp_path / "broken.onnx"
    broken.write_bytes(bytes([8, 10, 58, 4]) + b"hook")
    with answering(receive) as url:
        webhook = client.create_webhook(url, ["model.rejected"])
        assert [one.id for one in client.webhooks()] == [client.webhook(webhook.id).id]
        model = client.upload_model(broken, wait=False)
        body, headers = received.get(timeout=60)
        Webhook(webhook.secret).verify(body, headers)
        data = WebhookPayload.model_validate_json(body).data
        assert (data.id, data.state, data.name) == (model.id, "rejected", "broken.onnx")
        assert data.problem is not None
        while (delivery := next(iter(client.deliveries(webhook.id)))).state != "delivered":
            time.sleep(0.05)  # what is still being sent is not sent anew
        assert headers["webhook-id"] == delivery.id
        assert client.replay(webhook.id, delivery.id).state == "waiting"
        assert received.get(timeout=60)[0] == body
    client.delete_webhook(webhook.id)
    assert [*client.webhooks()] == []


def test_a_dataset_is_ready_as_it_was_declared(client: Client, dataset: Dataset) -> None:
    assert dataset.declaration == DECLARATION
    assert (dataset.samples, dataset.target) == (1797, "labels")
    assert client.dataset(dataset.id) == dataset


def test_progress_of_an_upload_ends_at_its_size(client: Client, files: Digits) -> None:
    seen: list[tuple[int, int]] = []
    client.upload_dataset(files.data, DECLARATION, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (files.data.stat().st_size,) * 2


def test_a_student_is_made_by_a_worker_and_is_a_model_like_any(client: Client, model: Model) -> None:
    student = client.make_student(model.id, target="parameters", amount=0.4, name="small")
    assert (student.state, student.parent, student.name) == ("ready", model.id, "small")
    assert student.parameters is not None
    assert model.parameters is not None
    assert student.parameters <= 0.6 * model.parameters
    assert next(client.values(student.id)).name == "image"
    assert client.make_student(model.id, target="parameters", amount=0.4).id == student.id


def test_a_student_that_cannot_be_made_is_told_with_the_reason(client: Client, model: Model) -> None:
    with pytest.raises(UploadRejected, match="were to go"):
        client.make_student(model.id, target="macs", amount=0.999)


def test_a_rejected_upload_says_why(client: Client, npz: Path) -> None:
    np.savez(npz, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ServiceProblem) as caught:
        client.upload_dataset(npz)
    assert caught.value.code in {"pickle_refused", "invalid_dataset"}
    assert caught.value.problem.detail


def test_what_inspection_rejects_is_told_with_its_id(client: Client, files: Digits, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(files.model.read_bytes()[:-500])
    with pytest.raises(ServiceProblem) as caught:
        client.upload_model(broken)
    if isinstance(caught.value, UploadRejected):
        assert client.model(caught.value.id).state == "rejected"
    assert caught.value.problem.detail


def test_a_job_runs_to_its_end(done: Job) -> None:
    assert (done.state, done.outcome, done.progress) == ("succeeded", "accepted", 1.0)


def test_the_same_key_is_the_same_job(client: Client, request_: JobRequest, done: Job) -> None:
    first = client.submit(request_, "a-key-of-ours")
    assert client.submit(request_, "a-key-of-ours").id == first.id
    client.cancel(first.id)
    other = request_.model_copy(update={"seed": 1})
    with pytest.raises(ServiceProblem) as caught:
        client.submit(other, "a-key-of-ours")
    assert caught.value.code == "idempotency_conflict"


def test_the_download_is_the_artifact_and_runs(client: Client, done: Job, tmp_path: Path) -> None:
    assert done.artifact is not None
    path = client.download(done.id, tmp_path)
    assert path == tmp_path / f"{done.id}.onnx"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == done.artifact.sha256
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.run(None, {"image": np.zeros((2, 1, 8, 8), np.float32)})[0].shape == (2, 10)


def test_the_report_belongs_to_the_artifact(client: Client, done: Job, model: Model) -> None:
    report = client.report(done.id)
    assert done.artifact is not None
    assert (report.source_sha256, report.artifact_sha256) == (model.sha256, done.artifact.sha256)
    assert report.requirements == done.requirements


def test_events_and_logs_tell_the_same_story(client: Client, done: Job) -> None:
    events = list(client.events(done.id))
    assert [event.id for event in events] == [record.id for record in client.logs(done.id)]
    assert events[-1].event == "state"
    assert list(client.events(done.id, after=events[-2].id)) == events[-1:]
    assert list(client.events(done.id, after=events[-1].id)) == []


def test_jobs_are_found_by_what_they_are(client: Client, done: Job) -> None:
    def found(jobs: Iterator[Job]) -> bool:
        return done.id in [job.id for job in jobs]

    assert found(
        client.jobs(state="succeeded", model=done.model, tags={"team": "client"}, since=done.created_at)
    )
    assert not found(client.jobs(tags={"team": "other"}))
    assert not found(client.jobs(until=done.created_at))
    assert not found(client.jobs(state="failed"))


def test_lists_go_over_many_pages(tmp_path: Path) -> None:
    sent = []
    with running(Settings(data_dir=tmp_path / "data", port=0), workers=0) as url, Client(url) as client:
        for number in range(55):
            np.savez(tmp_path / "one.npz", x=np.full(3, number, np.float32))
            sent.append(client.upload_dataset(tmp_path / "one.npz", wait=False).id)
        assert [dataset.id for dataset in client.datasets()] == sent[::-1]


def test_a_cancelled_job_can_be_retried_and_then_deleted(client: Client, model: Model) -> None:
    asked = JobRequest(model=model.id, recipe=Recipe(steps=[Int8Dynamic(kind="int8_dynamic")]))
    job = client.submit(asked)
    with pytest.raises(ServiceProblem) as busy:
        client.delete_job(job.id)
    assert busy.value.status == 409
    client.cancel(job.id)
    assert client.wait(job.id).state == "cancelled"
    assert client.retry(job.id).state in {"queued", "running"}
    assert client.wait(job.id).state == "succeeded"
    client.delete_job(job.id)
    with pytest.raises(ServiceProblem) as gone:
        client.job(job.id)
    assert gone.value.code == "not_found"


def test_a_download_before_the_end_is_refused(client: Client, model: Model, tmp_path: Path) -> None:
    job = client.submit(JobRequest(model=model.id, recipe=Recipe(steps=[Int8Dynamic(kind="int8_dynamic")])))
    with pytest.raises(ServiceProblem) as caught:
        client.download(job.id, tmp_path / "small.onnx")
    assert caught.value.code == "job_not_finished"
    with pytest.raises(ServiceProblem) as used:
        client.delete_model(model.id)
    assert used.value.code == "in_use"
    client.cancel(job.id)
    client.wait(job.id)


def test_what_nothing_uses_can_be_deleted(client: Client, npz: Path) -> None:
    np.savez(npz, x=np.zeros(7, np.float32))
    dataset = client.upload_dataset(npz)
    client.delete_dataset(dataset.id)
    with pytest.raises(ServiceProblem) as caught:
        client.dataset(dataset.id)
    assert caught.value.code == "not_found"


def test_dicts_do_as_well_as_models(client: Client, model: Model, npz: Path) -> None:
    np.savez(npz, x=np.zeros((3, 2), np.float32))
    dataset = client.upload_dataset(npz, {"inputs": {"image": {"array": "x"}}})
    assert dataset.declaration.inputs["image"].array == "x"
    steps = [Int8Dynamic(kind="int8_dynamic")]
    whole = client.submit({"model": model.id, "recipe": {"steps": steps}})
    by_name = client.submit(model=model.id, recipe=Recipe(steps=steps), require={"max_size_ratio": 1})
    assert whole.recipe == by_name.recipe
    assert by_name.require.max_size_ratio == 1
    client.cancel(whole.id)
    client.cancel(by_name.id)


def test_a_job_that_fails_raises_its_problem(client: Client, model: Model) -> None:
    steps = [{"kind": "no_op", "seconds": 60}]
    job = client.submit(model=model.id, recipe={"steps": steps}, limits={"seconds": 1})
    with pytest.raises(JobFailed) as failed:
        client.wait(job.id, timeout=60)
    assert (failed.value.job.id, failed.value.code) == (job.id, "time_limit_exceeded")
    assert failed.value.problem == client.job(job.id).problem


def test_waiting_ends_at_its_timeout(client: Client, model: Model) -> None:
    job = client.submit(model=model.id, recipe={"steps": [{"kind": "int8_dynamic"}]})
    with pytest.raises(TimeoutError, match="goes on"):
        client.wait(job.id, timeout=0)
    client.cancel(job.id)


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_URL", "http://winnow.example:81/")
    assert Client().url == "http://winnow.example:81"
    monkeypatch.delenv("WINNOW_URL")
    assert Client().url == "http://127.0.0.1:8000"
