"""A child that asks for bytes of its data, and what may come of it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from app.storage.ports import StoreAway
from tests.worker.child.test_supervise import Watcher, child_that
from worker.child import fetching
from worker.child.endings import Failed, Finished, Stopped
from worker.child.pipes import Outgoing
from worker.child.protocol import Fetched, Need
from worker.child.spec import InspectDataset, Limits
from worker.child.supervise import _Supervision
from worker.ranged_copy import other_bytes

pytestmark = pytest.mark.usefixtures("forked_children")


def test_it_goes_on_when_they_are_there(tmp_path: Path) -> None:
    asked = []

    def fetch(path: Path, start: int, end: int) -> int:
        asked.append((path, start, end))
        return end - start

    assert isinstance(child_that("read", tmp_path, fetch=fetch), Finished)
    assert asked == [(tmp_path / "none.npz", 5, 7)]


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreAway("nobody listens"), None), (OSError(errno.ENOSPC, "full"), "disk_full"),
     (other_bytes("a"), "storage_unavailable"), (KeyError("another"), "invalid_dataset")],
)  # fmt: skip
def test_what_hinders_is_told(tmp_path: Path, error: Exception, code: str | None) -> None:
    """A store that is away is no fault of the job: it is given back."""
    ending = child_that("read", tmp_path, fetch=_raising(error))
    if code is None:
        assert ending == Stopped("store_away")
    else:
        assert isinstance(ending, Failed), ending
        assert ending.problem.code == code


def test_who_asks_for_what_is_not_its_own_gets_nothing(tmp_path: Path) -> None:
    ending = child_that("read another's", tmp_path)
    assert isinstance(ending, Failed), ending


@pytest.mark.parametrize("came", [0, 4096])
def test_only_while_bytes_come_the_time_is_not_the_work_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came: int
) -> None:
    """Who asks again and again for what is there gains nothing by it."""
    now = [0.0]
    monkeypatch.setattr(fetching, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow(path: Path, start: int, end: int) -> int:
        now[0] += 7.0
        return came

    waiting = fetching.Fetching(slow)
    waiting.begin(Need(path=tmp_path, start=0, end=1))
    assert waiting.wait(60)
    assert isinstance(waiting.fetched(InspectDataset.model_construct(kind="inspect_dataset")), Fetched)
    waiting.close()
    assert waiting.seconds(now[0]) == (7.0 if came else 0.0)


def test_it_can_be_stopped_while_it_waits(tmp_path: Path) -> None:
    over = Event()
    ending = child_that("read", tmp_path, Watcher("cancelled"), fetch=lambda *asked: int(over.wait()))
    over.set()
    assert ending == Stopped("cancelled")


def test_a_store_that_is_away_ends_the_work_whichever_of_its_processes_asked(tmp_path: Path) -> None:
    """One that measures for it, too."""
    asked = InspectDataset.model_construct(kind="inspect_dataset")
    limits = Limits(seconds=60, memory_bytes=1 << 30, mapped_bytes=1 << 34)
    work = _Supervision(asked, limits, Watcher(), "test", fetch=_raising(StoreAway("nobody listens")))
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        ending = work._bring(Need(path=tmp_path, start=0, end=1), Outgoing(pipe))
    os.close(reading)
    assert ending == work._over == Stopped("store_away")


def _raising(error: Exception) -> Callable[[Path, int, int], int]:
    def fetch(path: Path, start: int, end: int) -> int:
        raise error

    return fetch
