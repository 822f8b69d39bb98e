"""Workers that drain and that are told to end, as they run."""

import time
from pathlib import Path

import pytest

from app.queue import CeleryQueue
from app.storage.open import open_records
from tests.support.digits import digits
from tests.support.service import Service, service
from winnow.client import Client
from winnow.contract.worker import Worker

pytestmark = pytest.mark.integration

RECIPE = {"steps": [{"kind": "int8_dynamic"}]}


def worker_for_jobs(client: Client) -> Worker:
    """As soon as it has put its record."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for worker in client.workers():
            if "cpu" in worker.capabilities:
                return worker
        time.sleep(0.2)
    raise TimeoutError


def until_a_child_works(winnow: Service) -> None:
    deadline = time.monotonic() + 60
    while not winnow.children("job_"):
        assert time.monotonic() < deadline, winnow.log()
        time.sleep(0.05)


def test_a_drained_worker_takes_nothing_until_it_is_taken_back(tmp_path: Path) -> None:
    with service(tmp_path / "var") as winnow, Client(winnow.url) as client:
        model = client.upload_model(digits(tmp_path).model).id
        worker = worker_for_jobs(client)
        assert client.drain(worker.id).draining
        job = client.submit(model=model, recipe=RECIPE)
        time.sleep(4.0)  # its parent has heard of it, and asks for no hints
        queue, waiting = CeleryQueue(winnow.settings), client.job(job.id)
        assert (waiting.state, queue.length("cpu")) == ("queued", 1)
        assert waiting.waiting_for is not None
        assert waiting.waiting_for.capability == "cpu"
        client.undrain(worker.id)
        assert client.wait(job.id, timeout=45).state == "succeeded", "not only when it is published again"
        (seen,) = (each for each in client.workers() if each.id == worker.id)
        assert (seen.doing, seen.cores >= 1, seen.threads) == (None, True, seen.cores)


def test_who_is_told_to_end_finishes_what_it_does_in_its_grace(tmp_path: Path) -> None:
    with service(tmp_path / "var", WINNOW_GRACE_SECONDS=60) as winnow, Client(winnow.url) as client:
        model = client.upload_model(digits(tmp_path).model).id
        job = client.submit(model=model, recipe=RECIPE)
        until_a_child_works(winnow)
        winnow.main.terminate()
        assert winnow.main.wait(60) == 0
        assert winnow.gone(5) == []
        assert "Traceback" not in winnow.log()
        ended = open_records(winnow.settings).job("local", job.id)
        assert ended is not None
        assert (ended.state, ended.attempt) == ("succeeded", 1)
