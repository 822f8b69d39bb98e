import errno
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from app import workers
from app.settings import Settings
from app.workers import Workers, own_capabilities, worker_command


def test_a_worker_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start, tried, started = subprocess.Popen, 0, 0

    def second_time_lucky(_command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        nonlocal tried, started
        tried += 1
        if tried == 1:
            raise BlockingIOError(errno.EAGAIN, "no process to be had")
        started += 1
        return start(["sleep", "60"], **options)

    monkeypatch.setattr("app.workers.subprocess.Popen", second_time_lucky)
    with Workers(Settings(data_dir=tmp_path)):
        deadline = time.monotonic() + 10
        while started < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert started == 2


@pytest.mark.parametrize(
    ("gpus", "capabilities", "started"),
    [
        ([], None, [(["cpu"], None), (["cpu"], None)]),
        ([], "cpu,cuda", [(["cpu", "cuda"], None), (["cpu", "cuda"], None)]),
        (["0"], None, [(["cpu", "cuda"], "0"), (["cpu"], "")]),
        (["2", "3"], "cuda,big", [(["big", "cuda"], "2"), (["big", "cuda"], "3")]),
        (["0"], "cuda", [(["cuda"], "0"), (["cpu"], "")]),
    ],
)
def test_each_gpu_has_a_worker_of_its_own(
    gpus: list[str],
    capabilities: str | None,
    started: list[tuple[list[str], str | None]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(workers, "visible_gpus", lambda: gpus)
    settings = Settings(data_dir=tmp_path, capabilities=capabilities)
    made = [*workers._for_jobs(settings, 2)]
    assert [(one.capabilities, one.environment.get("CUDA_VISIBLE_DEVICES")) for one in made] == started


@pytest.mark.parametrize(("cores", "asked", "threads"), [(8, None, "4"), (1, None, "1"), (8, 3, "3")])
def test_workers_share_the_cores(
    cores: int, asked: int | None, threads: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: cores)
    made = Workers(Settings(data_dir=tmp_path, threads=asked), jobs=2)
    assert made._environment["WINNOW_THREADS"] == threads
    made._temporary.cleanup()


def test_a_worker_listens_to_the_queues_of_what_it_is_able_to_do() -> None:
    command = worker_command(["big", "cpu"], 3)
    assert command[command.index("-Q") + 1] == "big,cpu,work"
    assert "big-cpu-" in command[command.index("--hostname") + 1]


@pytest.mark.parametrize(("gpus", "able"), [([], ["cpu"]), (["0"], ["cpu", "cuda"])])
def test_a_worker_by_itself_is_able_to_do_what_its_machine_has(
    gpus: list[str], able: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "visible_gpus", lambda: gpus)
    assert own_capabilities(Settings()) == able
    assert own_capabilities(Settings(capabilities="work, big")) == ["big", "cpu"]
