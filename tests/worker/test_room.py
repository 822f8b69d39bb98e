from pathlib import Path
from types import SimpleNamespace

import pytest

from worker import room
from worker.room import LEAST_BYTES, Room

RESERVE = 10 * LEAST_BYTES


@pytest.mark.parametrize(
    ("ran_out", "free", "there"),
    [
        (False, 0, False),
        (False, LEAST_BYTES - 1, False),
        (False, LEAST_BYTES, True),
        (True, LEAST_BYTES, False),
        (True, RESERVE - 1, False),
        (True, RESERVE, True),
    ],
)
def test_there_is_room_again_when_the_reserve_is_free_and_none_on_a_full_disk_for_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran_out: bool, free: int, there: bool
) -> None:
    disk = Room(tmp_path, RESERVE)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    if ran_out:
        disk.ran_out()
    assert disk.is_there() == there


def test_once_there_was_room_again_less_than_the_reserve_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Room(tmp_path, RESERVE)
    disk.ran_out()
    for free, there in ((LEAST_BYTES, False), (RESERVE, True), (LEAST_BYTES, True)):
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert disk.is_there() == there


def test_that_there_is_none_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked for every half a second."""
    disk = Room(tmp_path, RESERVE)
    for free in (0, 1, LEAST_BYTES, 0, 1):
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        disk.is_there()
    assert len(caplog.records) == 2


def test_who_reserves_nothing_takes_work_on_any_disk_and_a_folder_that_is_not_there_yet_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Room(tmp_path / "none", RESERVE).is_there()
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert Room(tmp_path, 0).is_there()
