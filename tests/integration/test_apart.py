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
    """Without workers. Temporary files go to `tmp`."""
    folder, temporary = tmp_path / "var", tmp_path / "tmp"
    temporary.mkdir()
    with redis_server() as redis:
        variables = {"WINNOW_BROKER_URL": redis.url, "WINNOW_MEASURE_LOCK": folder / "measure.lock"}
        with service(folder, "--no-workers", TMPDIR=temporary, **variables) as winnow:
            yield winnow


def test_a_job_whose_worker_is_not_there_waits_for_it_and_comes_out_measured(
    apart: Service, tmp_path: Path
) -> None:
    onnx.save(cnn(), tmp_path / "cnn.onnx")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", image=images, labels=rng.integers(0, 10, 64))
    inspector = apart.command("worker", "--queue", "inspect")
    with Client(apart.url) as client:
        model = client.upload_model(tmp_path / "cnn.onnx")
        dataset = client.upload_dataset(tmp_path / "data.npz")
        assert (model.state, dataset.state) == ("ready", "ready")
        job = client.submit(_int8(model.id, dataset.id))
        time.sleep(1)
        assert (client.job(job.id).state, client.job(job.id).queue_position) == ("queued", 1)
        worker = apart.command("worker", "--queue", "work")
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
    assert stat.S_IMODE((apart.folder / "measure.lock").stat().st_mode) == 0o600
    workers = workers_seen(apart.url, 2)
    assert sorted(queue for worker in workers for queue in worker["queues"]) == ["cpu", "inspect", "work"]
    layers = available_layers()
    assert all(worker["layers"] == layers for worker in workers)
    assert all("onnxruntime-cpu" in worker["runtimes"] for worker in workers)
    for process in (inspector, worker):
        process.terminate()
    assert [process.wait(20) for process in (inspector, worker)] == [0, 0]
    apart.stop()
    assert apart.gone(5) == []
    assert [*(tmp_path / "tmp").iterdir()] == []


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
