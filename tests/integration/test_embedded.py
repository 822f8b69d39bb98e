"""`winnow serve` as a process: one per folder, gone without a trace, and on with the work after a restart."""

import signal
import socket
import subprocess
import time
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


def exit_of(command: "subprocess.Popen[bytes]") -> int:
    return command.wait(60)


def test_it_answers_on_a_free_port_and_stops_with_all_it_started(tmp_path: Path) -> None:
    with service(tmp_path / "var") as winnow:
        assert httpx.get(f"{winnow.url}/livez").status_code == 200
        assert httpx.get(f"{winnow.url}/docs").status_code == 200
        assert winnow.stop() < 10
        assert winnow.gone(1) == []


def test_answers_that_are_held_back_come_when_it_stops(tmp_path: Path) -> None:
    with (
        service(tmp_path / "var", "--no-workers") as winnow,
        Client(winnow.url) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        model = client.upload_model(digits(tmp_path).model, wait=False).id
        held = threads.submit(httpx.get, f"{winnow.url}/v1/models/{model}?wait=60", timeout=60)
        time.sleep(1)
        winnow.stop()
        assert (held.result().status_code, held.result().json()["state"]) == (200, "inspecting")
        assert "Traceback" not in winnow.log()


def test_two_workers_run_two_jobs_at_once_and_ctrl_c_leaves_nothing_of_them(tmp_path: Path) -> None:
    (temporary := tmp_path / "tmp").mkdir()
    recipe = {"steps": [{"kind": "int8_dynamic"}]}
    with (
        service(tmp_path / "var", "--workers", "2", TMPDIR=temporary) as winnow,
        Client(winnow.url) as client,
    ):
        model = client.upload_model(digits(tmp_path).model).id
        long = {"rounds": 1000, "batch_sizes": [512]}
        jobs = [client.submit(model=model, recipe=recipe, benchmark=long, seed=seed).id for seed in (1, 2)]
        _wait_until_two_work(winnow)
        assert [client.job(id).state for id in jobs] == ["running", "running"]
        with httpx.stream("GET", f"{winnow.url}/v1/jobs/{jobs[0]}/events", timeout=60) as events:
            told = events.iter_text()
            assert any('"running"' in text for text in told)
            winnow.main.send_signal(signal.SIGINT)
            assert all(told)  # it ends; cut off, httpx would raise
        assert winnow.main.wait(20) == 0
        assert winnow.gone(5) == []
        assert [*temporary.iterdir()] == []
        assert "Traceback" not in winnow.log()


@pytest.mark.parametrize("after", [0.0, 0.7, 3.0])
def test_killed_it_leaves_no_process(tmp_path: Path, after: float) -> None:
    """Also while its workers still start."""
    with service(tmp_path / "var") as winnow:
        time.sleep(after)
        winnow.kill()
        assert winnow.gone(15) == []


def test_a_second_one_on_the_same_folder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with service(tmp_path / "var", "--no-workers") as winnow:
        assert exit_of(winnow.command("serve", "--port", "0")) == 1
        assert "already runs on" in winnow.log()
        assert "Traceback" not in winnow.log()
        assert httpx.get(f"{winnow.url}/livez").status_code == 200


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


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with service(tmp_path / "var") as winnow:
        first = _pids_when_there(winnow)
        for process in winnow.workers("inspect"):
            process.kill()
        second = _pids_when_there(winnow, other_than=first)
        assert second.isdisjoint(first)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_of_its_own_stops_when_it_is_told(tmp_path: Path, number: signal.Signals) -> None:
    (temporary := tmp_path / "tmp").mkdir()
    winnow = Service(tmp_path / "var", TMPDIR=temporary)
    worker = winnow.command("worker")
    while " ready." not in winnow.log():
        assert worker.poll() is None, winnow.log()
        time.sleep(0.05)
    worker.send_signal(number)
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
