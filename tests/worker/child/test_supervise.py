import logging
import os
import time
from pathlib import Path

import psutil
import pytest

from app.contract.dataset import Declaration
from worker.child.spec import InspectDataset, Limits, Logged, Note
from worker.child.supervise import (
    Crashed,
    Ending,
    Failed,
    Finished,
    Reason,
    Stopped,
    resident_bytes,
    supervise,
)


class Watcher:
    """Keeps what it hears; answers `reason` once something was logged."""

    def __init__(self, reason: Reason | None = None) -> None:
        self.notes: list[Note] = []
        self.reason = reason

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def tick(self) -> Reason | None:
        return self.reason if any(isinstance(note, Logged) for note in self.notes) else None


def child_that(
    order: str, folder: Path, watcher: Watcher | None = None, seconds: float = 60, memory: int = 1 << 29
) -> Ending:
    task = InspectDataset(
        kind="inspect_dataset",
        path=folder / "none.npz",
        declaration=Declaration(constants={order: 1}),
        scratch=folder,
        max_unpacked_bytes=1 << 30,
    )
    limits = Limits(seconds=seconds, memory_bytes=memory, mapped_bytes=1 << 34)
    return supervise(task, limits, folder, watcher or Watcher(), "tests.support.child")


def processes_left_in(folder: Path) -> list[psutil.Process]:
    """What has not ended after two seconds; a killed process takes a moment."""
    deadline = time.monotonic() + 2
    while (left := _processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _processes_in(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if _cwd(p) == str(folder)]


def _cwd(process: psutil.Process) -> str | None:
    try:
        return process.cwd()
    except psutil.Error:
        return None


def test_a_result_comes_back_with_the_progress_before_it(tmp_path: Path) -> None:
    watcher = Watcher()
    ending = child_that("succeed", tmp_path, watcher)
    assert isinstance(ending, Finished)
    assert ending.result["facts"]["samples"] == 3
    assert [note.type for note in watcher.notes] == ["step", "advance"]


def test_a_refusal_comes_back_as_its_problem(tmp_path: Path) -> None:
    ending = child_that("refuse", tmp_path)
    assert isinstance(ending, Failed)
    assert (ending.problem.code, ending.problem.detail) == ("invalid_dataset", "this one is refused")


def test_the_user_learns_nothing_of_an_unexpected_error_and_the_operator_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ending = child_that("raise", tmp_path)
    assert isinstance(ending, Failed)
    assert ending.problem.code == "invalid_dataset"
    assert "secret" not in ending.problem.detail
    assert "secret: /home/somebody" in caplog.text
    assert "Traceback" in caplog.text


def test_an_allocation_beyond_the_address_space_is_a_memory_problem(tmp_path: Path) -> None:
    ending = child_that("exhaust", tmp_path)
    assert isinstance(ending, Failed)
    assert ending.problem.code == "memory_limit_exceeded"


def test_growing_beyond_the_limit_is_stopped_with_what_was_measured(tmp_path: Path) -> None:
    ending = child_that("grow", tmp_path, memory=1 << 28)
    assert isinstance(ending, Failed)
    assert ending.problem.code == "memory_limit_exceeded"
    assert f"{1 << 28:,}" in ending.problem.detail


def test_a_signal_and_an_exit_code_are_crashes_that_say_which(tmp_path: Path) -> None:
    for order, word in (("segfault", "SIGSEGV"), ("exit", "with 3")):
        ending = child_that(order, tmp_path)
        assert isinstance(ending, Crashed)
        assert word in ending.how


def test_the_time_limit_stops_everything_and_says_so(tmp_path: Path) -> None:
    ending = child_that("hang", tmp_path, seconds=1.5)
    assert isinstance(ending, Failed)
    assert ending.problem.code == "time_limit_exceeded"
    assert "1.5 s" in ending.problem.detail
    assert processes_left_in(tmp_path) == []


def test_a_stop_takes_the_whole_group_along(tmp_path: Path) -> None:
    watcher = Watcher("cancelled")
    assert child_that("hang", tmp_path, watcher) == Stopped("cancelled")
    assert processes_left_in(tmp_path) == []


def test_what_is_no_message_is_passed_over(tmp_path: Path) -> None:
    assert isinstance(child_that("babble", tmp_path), Finished)


def test_numbers_of_numpy_can_be_logged(tmp_path: Path) -> None:
    watcher = Watcher()
    assert isinstance(child_that("numpy", tmp_path, watcher), Finished)
    (values,) = [note.values for note in watcher.notes if isinstance(note, Logged)]
    assert values == {"number": 0.5, "count": 3}


def test_the_child_learns_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    watcher = Watcher()
    child_that("environment", tmp_path, watcher)
    (environment,) = [note.values for note in watcher.notes if isinstance(note, Logged)]
    assert environment["TMPDIR"] == str(tmp_path)
    assert "secret" not in str(environment)


def test_resident_memory_counts_the_children_too() -> None:
    own = resident_bytes(os.getpid())
    assert own > 1 << 20
    with psutil.Popen(["python3", "-c", "x = b'x' * (1 << 26); input()"], stdin=-1) as child:
        deadline = time.monotonic() + 20
        while resident_bytes(os.getpid()) < own + (1 << 25) and time.monotonic() < deadline:
            time.sleep(0.05)
        grown = resident_bytes(os.getpid())
        child.kill()
    assert grown > own + (1 << 25)
