"""What a child that has been taken over can still do: nothing to the worker, its files, its uploads or the network.

`tests.support.hostile` tries; a test is skipped only where the kernel has none of the layers that refuse it.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.child import FACTS
from tests.support.hostile import ATTEMPTS
from winnow.contract.declaration import Declaration
from worker.child.endings import Crashed, Ending, Failed, Finished, Reason, Stopped
from worker.child.layers import available_layers
from worker.child.protocol import Logged, Note
from worker.child.spec import InspectDataset, Limits
from worker.child.supervise import supervise

pytestmark = pytest.mark.usefixtures("forked_children")

LAYERS = available_layers()

Tried = tuple[Path, dict[str, dict[str, Any]]]
"""The data folder, and what was logged: `attempts` and `allowed`."""


@dataclass
class Watcher:
    """Keeps what was logged; stops the work once something was, when asked to."""

    cancel: bool = False

    def __post_init__(self) -> None:
        self.logged: dict[str, dict[str, Any]] = {}

    def note(self, note: Note) -> None:
        assert isinstance(note, Logged)
        self.logged[note.message] = note.values

    def tick(self) -> Reason | None:
        return "cancelled" if self.cancel and self.logged else None


def taken_over(
    order: str, data: Path, watcher: Watcher, *, seconds: float = 60, filtered: bool = True
) -> Ending:
    """The ending of a child whose data folder looks like the service's."""
    folder = data / "scratch" / "dst_1" / "attempt-1"
    folder.mkdir(parents=True)
    (data / "blobs").mkdir()
    for name in ("winnow.db", "blobs/input", "blobs/other"):
        (data / name).write_bytes(b"before")
    victim = {"pid": os.getpid(), "folder": str(data), "database": str(data / "winnow.db")}
    victim |= {"input": str(data / "blobs" / "input"), "other": str(data / "blobs" / "other")}
    (folder / "victim.json").write_text(json.dumps(victim))
    (folder / "link to the database").symlink_to(data / "winnow.db")
    task = InspectDataset(
        kind="inspect_dataset",
        path=data / "blobs" / "input",
        declaration=Declaration(constants={order: 1}),
        scratch=folder,
        max_unpacked_bytes=1 << 30,
    )
    limits = Limits(seconds=seconds, memory_bytes=1 << 30, mapped_bytes=1 << 36)
    return supervise(task, limits, folder, watcher, "tests.support.hostile", filtered=filtered)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    data, watcher = tmp_path_factory.mktemp("data"), Watcher()
    before = set(psutil.Process().children(recursive=True))
    assert taken_over("everything", data, watcher) == Finished({"facts": FACTS})
    assert set(psutil.Process().children(recursive=True)) <= before
    return data, watcher.logged


@pytest.mark.parametrize("name", ATTEMPTS)
def test_it_is_refused(tried: Tried, name: str) -> None:
    layers, _ = ATTEMPTS[name]
    if not any(LAYERS.get(layer) for layer in layers):
        pytest.skip(f"this kernel has no {' and no '.join(layers)}")
    assert tried[1]["attempts"][name].startswith("refused"), tried[1]["attempts"][name]


def test_the_data_is_as_it_was(tried: Tried) -> None:
    data, _ = tried
    if not LAYERS.get("landlock"):
        pytest.skip("this kernel has no landlock")
    assert sorted(path.name for path in data.iterdir()) == ["blobs", "scratch", "winnow.db"]
    for name in ("winnow.db", "blobs/input", "blobs/other"):
        assert (data / name).read_bytes() == b"before"
    assert [path.name for path in (data / "scratch" / "dst_1").iterdir()] == ["attempt-1"]


def test_what_honest_work_needs_is_allowed(tried: Tried) -> None:
    expected = {"input": "before", "status": True, "numpy": 3.0, "onnxruntime": "CPUExecutionProvider"}
    assert tried[1]["allowed"] == expected


def test_a_call_of_another_architecture_ends_it(tmp_path: Path) -> None:
    if os.uname().machine != "x86_64" or not LAYERS.get("seccomp"):
        pytest.skip("no other architecture, or no filter")
    ending = taken_over("another architecture", tmp_path, Watcher())
    assert isinstance(ending, Crashed)
    assert (
        "SIGSYS" in ending.how or "SIGSEGV" in ending.how
    )  # the latter where the kernel runs no 32-bit calls


def test_nothing_is_measured_that_is_not_its_own(tmp_path: Path) -> None:
    watcher = Watcher()
    assert isinstance(taken_over("measure what is not its own", tmp_path, watcher, filtered=False), Finished)
    assert json.loads(watcher.logged["answer"]["line"]) == {"type": "ended", "how": "was not started"}


def test_asking_without_reading_the_answers_is_a_crash(tmp_path: Path) -> None:
    ending = taken_over("ask and never read", tmp_path, Watcher(), filtered=False)
    assert ending == Crashed("its process asked on and read no answer")


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        ("stray", Finished),
        ("stray, then refuse", Failed),
        ("stray, then crash", Crashed),
        ("stray, then hang", Failed),
        ("stray, then hang", Stopped),
        ("stray, then kill the guard", Crashed),
    ],
)
def test_what_left_its_session_and_lost_its_parent_has_ended_too(
    tmp_path: Path, order: str, kind: type[Ending]
) -> None:
    """Without the filters, under which it could not start anything."""
    before = set(psutil.Process().children(recursive=True))
    seconds = 3 if kind is Failed else 60
    ending = taken_over(order, tmp_path, Watcher(kind is Stopped), seconds=seconds, filtered=False)
    assert isinstance(ending, kind), ending
    assert _has_ended(tmp_path / "scratch" / "dst_1" / "attempt-1" / "stray")
    assert set(psutil.Process().children(recursive=True)) <= before


def test_it_ends_too_when_the_worker_is_killed(tmp_path: Path) -> None:
    """The guard has it then."""
    worker = psutil.Popen(
        [
            *(os.sys.executable, "-c"),
            "import sys; from pathlib import Path; from tests.worker.child.test_shut_in import *; "
            "taken_over('stray, then hang', Path(sys.argv[1]), Watcher(), filtered=False)",
            str(tmp_path),
        ],
        cwd=Path.cwd(),
    )
    stray = tmp_path / "scratch" / "dst_1" / "attempt-1" / "stray"
    deadline = time.monotonic() + 60
    while not (stray.exists() and stray.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker.kill()
    worker.wait()
    deadline = time.monotonic() + 10
    while not _has_ended(stray) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _has_ended(stray)


def _has_ended(file: Path) -> bool:
    try:
        return psutil.Process(int(file.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
