"""`winnow serve` as a process: one per folder, gone without a trace, and on with the work after a restart."""

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from app.embedded import CannotStart, running
from app.settings import Settings
from tests.support.digits import digits
from tests.support.service import Service, service
from winnow.client import Client

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files of `two_workers`."""
    return tmp_path_factory.mktemp("tmp")


@pytest.fixture(scope="module")
def two_workers(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("two") / "var"
    with service(folder, "--workers", "2", TMPDIR=temporary) as running:
        yield running


def test_it_answers_on_a_free_port(two_workers: Service) -> None:
    assert httpx.get(f"{two_workers.url}/livez").status_code == 200
    assert httpx.get(f"{two_workers.url}/docs").status_code == 200


def test_a_worker_that_dies_is_started_again(two_workers: Service) -> None:
    first = _pids_when_there(two_workers)
    for process in two_workers.workers("inspect"):
        process.kill()
    second = _pids_when_there(two_workers, other_than=first)
    assert second.isdisjoint(first)


def test_two_workers_run_two_jobs_at_once_and_ctrl_c_leaves_nothing_of_them(
    two_workers: Service, temporary: Path, tmp_path: Path
) -> None:
    """The last that is asked of this service."""
    recipe = {"steps": [{"kind": "no_op", "seconds": 60}, {"kind": "int8_dynamic"}]}
    with Client(two_workers.url) as client:
        model = client.upload_model(digits(tmp_path).model).id
        jobs = [client.submit(model=model, recipe=recipe, seed=seed).id for seed in (1, 2)]
        _wait_until_two_work(two_workers)
        assert [client.job(id).state for id in jobs] == ["running", "running"]
    with httpx.stream("GET", f"{two_workers.url}/v1/jobs/{jobs[0]}/events", timeout=60) as events:
        told = events.iter_text()
        assert any('"running"' in text for text in told)
        two_workers.main.send_signal(signal.SIGINT)
        assert all(told)  # it ends; cut off, httpx would raise
    assert two_workers.main.wait(20) == 0
    assert two_workers.gone(5) == []
    assert [*temporary.iterdir()] == []
    assert "Traceback" not in two_workers.log()


@pytest.fixture(scope="module")
def without_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("without") / "var", "--no-workers") as running:
        yield running


def test_a_second_one_on_the_same_folder_is_refused_with_a_sentence(without_workers: Service) -> None:
    assert without_workers.command("serve", "--port", "0").wait(60) == 1
    assert "already runs on" in without_workers.log()
    assert "Traceback" not in without_workers.log()
    assert httpx.get(f"{without_workers.url}/livez").status_code == 200


def test_answers_that_are_held_back_come_when_it_stops(without_workers: Service, tmp_path: Path) -> None:
    """The last that is asked of this service."""
    with Client(without_workers.url) as client, ThreadPoolExecutor(1) as threads:
        model = client.upload_model(digits(tmp_path).model, wait=False).id
        address = f"{without_workers.url}/v1/models/{model}?wait=60"
        held = threads.submit(httpx.get, address, timeout=60)
        time.sleep(1)
        without_workers.stop()
        assert (held.result().status_code, held.result().json()["state"]) == (200, "inspecting")
        assert "Traceback" not in without_workers.log()


@pytest.mark.parametrize("after", [0.0, 3.0])
def test_killed_it_leaves_no_process(tmp_path: Path, after: float) -> None:
    """Also while its workers still start."""
    with service(tmp_path / "var") as winnow:
        time.sleep(after)
        winnow.kill()
        assert winnow.gone(15) == []


def test_a_port_that_is_taken_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(data_dir=tmp_path, port=port)
        with pytest.raises(CannotStart, match=f"already listens on 127.0.0.1:{port}"), running(settings):
            pass


def test_the_folder_is_free_again_after_a_stop(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=0, log_level="WARNING")
    for _ in range(2):
        with running(settings, workers=0) as url:
            assert httpx.get(f"{url}/livez").status_code == 200


def test_a_worker_of_its_own_stops_by_ctrl_c(tmp_path: Path) -> None:
    """`test_apart.py` ends one as Docker does."""
    (temporary := tmp_path / "tmp").mkdir()
    winnow = Service(tmp_path / "var", TMPDIR=temporary)
    worker = winnow.command("worker")
    while " ready." not in winnow.log():
        assert worker.poll() is None, winnow.log()
        time.sleep(0.05)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(10) == 0
    assert winnow.gone(5) == []
    assert [*temporary.iterdir()] == []


def _pids_when_there(winnow: Service, other_than: frozenset[int] = frozenset()) -> frozenset[int]:
    for _ in range(600):
        found = frozenset(process.pid for process in winnow.workers("inspect"))
        if len(found) == 2 and found.isdisjoint(other_than):
            return found
        time.sleep(0.05)
    raise AssertionError(winnow.log())


def _wait_until_two_work(winnow: Service) -> None:
    """Two workers have a child each, for a job of its own."""
    deadline = time.monotonic() + 60
    while len({owner for owner in map(_celery_above, winnow.children("job_")) if owner}) < 2:
        assert time.monotonic() < deadline, winnow.log()
        time.sleep(0.1)


def _celery_above(process: psutil.Process) -> int | None:
    """The worker, as the process of Celery that is the first above it."""
    with suppress(psutil.Error):
        return next((above.pid for above in process.parents() if "celery" in " ".join(above.cmdline())), None)
    return None
