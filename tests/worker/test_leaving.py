import pytest

from worker import leaving
from worker.leaving import Leaving


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(leaving.time, "monotonic", lambda: now[0])
    return now


def test_nobody_leaves_who_was_not_told(clock: list[float]) -> None:
    leaving = Leaving(30.0)
    assert (leaving.begun(), leaving.over()) == (False, False)


def test_what_is_being_done_has_the_time_of_grace(clock: list[float]) -> None:
    leaving = Leaving(30.0)
    leaving.tell()
    clock[0] = 129.0
    assert (leaving.begun(), leaving.over()) == (True, False)
    clock[0] = 130.0
    assert leaving.over()


def test_who_is_told_twice_is_to_leave_at_once(clock: list[float]) -> None:
    leaving = Leaving(30.0)
    leaving.tell()
    clock[0] = 101.0
    leaving.tell()
    assert leaving.over()


def test_without_grace_it_is_over_at_once() -> None:
    leaving = Leaving()
    leaving.tell()
    assert leaving.over()
