import errno
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from winnow.contract.declaration import Declaration
from worker.child.endings import Crashed, Ending, Failed, Finished, Reason, Stopped
from worker.child.fetching import Fetch, nothing_to_fetch
from worker.child.layers import available_layers
from worker.child.memory import resident_bytes
from worker.child.protocol import Ended, Logged, Note, Refused
from worker.child.spawn import spawn
from worker.child.spec import CompareModels, Files, InspectDataset, Limits, LoadModel, Spec
from worker.child.supervise import _Supervision, supervise

pytestmark = pytest.mark.usefixtures("forked_children")


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
    order: str,
    folder: Path,
    watcher: Watcher | None = None,
    seconds: float = 60,
    memory: int = 1 << 29,
    fetch: Fetch = nothing_to_fetch,
) -> Ending:
    task = InspectDataset(
        kind="inspect_dataset",
        path=folder / "none.npz",
        declaration=Declaration(constants={order: 1}),
        scratch=folder,
        max_unpacked_bytes=1 << 30,
    )
    limits = Limits(seconds=seconds, memory_bytes=memory, mapped_bytes=1 << 34)
    return supervise(task, limits, folder, watcher or Watcher(), "tests.support.child", fetch=fetch)


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
    assert environment["TMPDIR"] == environment["tempfile"] == str(tmp_path), "nothing is tried first"
    assert "secret" not in str(environment)


REFUSED_LAYERS = """
import ctypes, errno, struct, sys, tempfile
from pathlib import Path
from worker.child import kernel, seccomp
from worker.child.syscalls import LANDLOCK, REFUSED, machine, numbers
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
names = ("seccomp", "capset", "unshare", "pidfd_open")
prctl = {"x86_64": 157, "aarch64": 167}[machine()]
refused = [*(numbers(machine(), REFUSED)[name] for name in names), *LANDLOCK.values(), prctl]
program = seccomp.assembled(
    [
        (seccomp.LOAD, 0, 0, 0),
        *seccomp._choose(refused, seccomp.REFUSE),
        (seccomp.RETURN, 0, 0, seccomp.ALLOW),
    ]
)
code = ctypes.create_string_buffer(program, len(program))
header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
number = seccomp.SECCOMP[machine()]
kernel.system_call(number, ctypes.c_uint(1), ctypes.c_uint(0), ctypes.c_char_p(header))
from tests.worker.child.test_supervise import child_that
for order in ("succeed", "segfault"):
    print(child_that(order, Path(tempfile.mkdtemp(dir=sys.argv[1]))))
"""


def test_a_child_starts_and_its_end_is_noticed_where_a_container_gives_it_no_layer(tmp_path: Path) -> None:
    """Nor `pidfd_open`."""
    if not available_layers().get("seccomp"):
        pytest.skip("no filter on system calls here")
    worker = subprocess.run(
        [sys.executable, "-c", REFUSED_LAYERS, str(tmp_path)], cwd=Path.cwd(), capture_output=True, text=True
    )
    succeeded, crashed = worker.stdout.splitlines() or [worker.stderr, ""]
    assert succeeded.startswith("Finished("), succeeded
    assert "SIGSEGV" in crashed


def test_a_child_that_cannot_be_started_leaves_no_descriptor(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(FileNotFoundError):
        spawn(tmp_path / "none", "worker.child")
    assert psutil.Process().num_fds() == before


def asking(folder: Path, watcher: Watcher | None = None) -> tuple[_Supervision, LoadModel, Spec]:
    """A supervision, what its child asks for, and as whom."""
    for name in ("model.onnx", "feed.npz"):
        (folder / name).touch()
    own = folder / "own"
    task = LoadModel(kind="load_model", model=folder / "model.onnx", feed=folder / "feed.npz", threads=1)
    asked = CompareModels.model_construct(kind="compare_models")
    limits = Limits(seconds=60, memory_bytes=1 << 30, mapped_bytes=1 << 34)
    spec = Spec.model_construct(
        parent=os.getpid(), task=asked, limits=limits, files=Files(own=own, lent=[folder]), filtered=True
    )
    return _Supervision(asked, limits, watcher or Watcher(), "test"), task, spec  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EAGAIN, errno.ENOENT])
@pytest.mark.parametrize("failing", ["worker.child.measuring.spawn", "tempfile.mkdtemp"])
def test_what_cannot_be_started_to_measure_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, failing: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    supervision, task, spec = asking(tmp_path)
    monkeypatch.setattr(failing, fails)
    answer = supervision._measure(task, spec)
    if code in (errno.ENOSPC, errno.EDQUOT):
        assert isinstance(answer, Refused)
        assert answer.problem.code == "disk_full"
    else:
        assert answer == Ended(how="was not started")


def test_nothing_is_started_for_what_is_over(tmp_path: Path) -> None:
    supervision, task, spec = asking(tmp_path)
    supervision._over = Stopped("fenced")
    assert supervision._measure(task, spec) == Ended(how="was stopped")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feed.npz", "model.onnx"]


def test_resident_memory_is_that_of_all_below() -> None:
    own = resident_bytes(os.getpid())
    with psutil.Popen(["python3", "-c", "x = b'x' * (1 << 26); input()"], stdin=-1) as child:
        deadline = time.monotonic() + 20
        while resident_bytes(os.getpid()) < own + (1 << 25) and time.monotonic() < deadline:
            time.sleep(0.05)
        grown = resident_bytes(os.getpid())
        child.kill()
    assert grown > own + (1 << 25)
