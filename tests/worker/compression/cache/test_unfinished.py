from pathlib import Path
from types import SimpleNamespace

import pytest

from worker.compression.cache import unfinished as module
from worker.compression.cache.bounded_folder import BoundedFolder
from worker.compression.cache.unfinished import NOT_KEPT, Unfinished


def unfinished(folder: Path, told: list[tuple[str, str]] | None = None) -> Unfinished:
    place = BoundedFolder(folder, max_entries=3, max_bytes=1 << 20)
    return Unfinished(place, "key", lambda slot, key: (told if told is not None else []).append((slot, key)))


def test_the_last_state_is_there_for_the_next_attempt(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    for content in (b"first", b"second"):
        unfinished(tmp_path, told).write(lambda file, content=content: file.write_bytes(content) and None)
    state = unfinished(tmp_path).state
    assert state is not None
    assert state.read_bytes() == b"second"
    assert told == [("unfinished", "key-unfinished")] * 2
    assert {file.name for file in state.parent.iterdir()} == {"state", "seconds", "used"}


def test_what_it_took_adds_up_over_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    for before in (0.0, 10.0, 20.0):
        one = unfinished(tmp_path)
        assert one.seconds_before == before
        now += 10.0
        one.write(lambda file: file.write_bytes(b"x") and None)
        now += 5.0  # lost


def test_one_that_was_interrupted_while_it_was_written_leaves_the_one_before(tmp_path: Path) -> None:
    def half(file: Path) -> None:
        file.write_bytes(b"ha")
        raise KeyboardInterrupt

    unfinished(tmp_path).write(lambda file: file.write_bytes(b"whole") and None)
    with pytest.raises(KeyboardInterrupt):
        unfinished(tmp_path).write(half)
    state = unfinished(tmp_path).state
    assert state is not None
    assert state.read_bytes() == b"whole"


def test_what_cannot_be_written_is_done_without_and_nobody_is_told(tmp_path: Path) -> None:
    def full(file: Path) -> None:
        raise OSError("no room")

    told: list[tuple[str, str]] = []
    unfinished(tmp_path, told).write(full)
    assert (unfinished(tmp_path).state, told) == (None, [])


def test_it_goes_when_the_step_is_finished(tmp_path: Path) -> None:
    one = unfinished(tmp_path)
    one.write(lambda file: file.write_bytes(b"x") and None)
    one.remove()
    assert unfinished(tmp_path).state is None


def test_without_a_folder_nothing_is_kept() -> None:
    NOT_KEPT.write(lambda file: file.write_bytes(b"x") and None)
    NOT_KEPT.remove()
    assert NOT_KEPT.state is None
