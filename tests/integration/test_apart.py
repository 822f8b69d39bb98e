"""API, worker and inspector as processes of their own on a real Redis, as docker-compose.yml starts them."""

import hashlib
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest

from tests.support.graphs import cnn
from tests.support.redis import redis_server
from tests.support.service import Service, service
from winnow.client import Client
from winnow.contract.job import JobRequest
from worker.child.layers import available_layers

pytestmark = pytest.mark.integration


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Service]:
    with (
        redis_server() as redis,
        service(tmp_path / "var", "--no-workers", WINNOW_BROKER_URL=redis.url) as winnow,
    ):
        processes = [winnow.command("worker", "--queue", queue) for queue in ("inspect", "work")]
        yield winnow
        for process in processes:
            process.terminate()
        assert [process.wait(20) for process in processes] == [0, 0]
        winnow.stop()
        assert winnow.gone(5) == []


def test_a_model_goes_in_and_its_measured_int8_form_comes_out(apart: Service, tmp_path: Path) -> None:
    onnx.save(cnn(), tmp_path / "cnn.onnx")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", image=images, labels=rng.integers(0, 10, 64))
    with Client(apart.url) as client:
        model = client.upload_model(tmp_path / "cnn.onnx")
        dataset = client.upload_dataset(tmp_path / "data.npz")
        assert (model.state, dataset.state) == ("ready", "ready")
        job = client.submit(_int8(model.id, dataset.id))
        seen = [it.progress for it in client.watch(job.id)]
        done = client.job(job.id)
        artifact = client.download(job.id, tmp_path / "int8.onnx")
        report = client.report(job.id)
        logs = list(client.logs(job.id))
    assert done.state == "succeeded"
    assert done.artifact is not None
    assert hashlib.sha256(artifact.read_bytes()).hexdigest() == done.artifact.sha256 == report.artifact_sha256
    assert seen == sorted(seen)
    assert any("nodes changed" in record.message for record in logs)
    onnx.checker.check_model(onnx.load(artifact))


def test_a_job_whose_worker_is_not_there_waits_for_it(tmp_path: Path) -> None:
    onnx.save(cnn(), tmp_path / "cnn.onnx")
    with (
        redis_server() as redis,
        service(
            tmp_path / "var",
            "--no-workers",
            WINNOW_BROKER_URL=redis.url,
            WINNOW_MEASURE_LOCK=tmp_path / "var" / "measure.lock",
        ) as winnow,
        Client(winnow.url) as client,
    ):
        inspector = winnow.command("worker", "--queue", "inspect")
        model = client.upload_model(tmp_path / "cnn.onnx")
        request = {
            "model": model.id,
            "recipe": {"steps": [{"kind": "int8_dynamic"}]},
            "benchmark": {"rounds": 9},
        }
        job = client.submit(JobRequest.model_validate(request))
        time.sleep(1)
        assert (client.job(job.id).state, client.job(job.id).queue_position) == ("queued", 1)
        worker = winnow.command("worker", "--capabilities", "cpu")
        assert client.wait(job.id).state == "succeeded"
        assert stat.S_IMODE((tmp_path / "var" / "measure.lock").stat().st_mode) == 0o600
        seen = workers_seen(winnow.url, 2)
        assert sorted(queue for worker in seen for queue in worker["queues"]) == ["cpu", "inspect", "work"]
        assert all(worker["layers"] == available_layers() for worker in seen)
        assert all("onnxruntime-cpu" in worker["runtimes"] for worker in seen)
        for process in (inspector, worker):
            process.terminate()
            process.wait(20)


def workers_seen(url: str, count: int) -> list[dict[str, Any]]:
    """As `/readyz` tells them, as soon as there are so many: each puts its record when it has looked about."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        workers: list[dict[str, Any]] = httpx.get(f"{url}/readyz").json()["workers"]
        if len(workers) == count:
            return workers
        time.sleep(0.5)
    raise TimeoutError(f"{workers}")


def _int8(model: str, dataset: str) -> JobRequest:
    return JobRequest.model_validate(
        {
            "model": model,
            "recipe": {"steps": [{"kind": "int8_static"}]},
            "data": {"calibration": {"dataset": dataset}, "evaluation": {"dataset": dataset}},
            "evaluation": {"metric": "top1"},
            "benchmark": {"rounds": 9},
        }
    )
