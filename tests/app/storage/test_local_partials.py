"""Bytes that come in parts: whatever ends a part, what is there is a beginning of what was sent."""

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.storage.local_blobs import LocalBlobs
from app.storage.local_partials import Busy, LocalPartials
from app.storage.memory_blobs import MemoryBlobs
from app.storage.ports import Blobs

NAME = "upl_1"


@pytest.fixture
def partials(tmp_path: Path, blobs: Blobs) -> LocalPartials:
    return LocalPartials(tmp_path / "partial", blobs)


def left(tmp_path: Path) -> list[str]:
    return sorted(file.name for file in (tmp_path / "partial").glob("*"))


def add(partials: LocalPartials, content: bytes) -> int:
    partial = partials.open(NAME)
    partial.write(content)
    return partial.close()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.tuples(
            st.binary(max_size=50),
            st.sampled_from(["closed", "killed", "right", "wrong", "killed unchecked"]),
        )
    )
)
def test_what_is_there_is_what_was_added_and_not_doubted(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bytes, str]]
) -> None:
    """`killed`: its process ends; the next one finds the files as they are."""
    folder, kept = tmp_path_factory.mktemp("parts"), b"x"
    partials = LocalPartials(folder / "partial", LocalBlobs(folder / "blobs"))
    assert (partials.size(NAME), add(partials, kept)) == (0, 1)
    for content, end in parts:
        partial = partials.open(NAME)
        assert partial.size == len(kept)
        if end in ("right", "wrong", "killed unchecked"):
            partial.doubt()
        partial.write(content)
        assert partial.size == len(kept + content)
        if end == "right":
            partial.trust()
        kept += content if end in ("closed", "killed", "right") else b""
        if end.startswith("killed"):
            partial.release()
            partials = LocalPartials(folder / "partial", LocalBlobs(folder / "blobs"))
        else:
            assert partial.close() == len(kept)
        assert partials.size(NAME) == len(kept)
    sha256 = hashlib.sha256(kept).hexdigest()
    assert partials.finish(NAME) == (sha256, len(kept))
    assert LocalBlobs(folder / "blobs").source(sha256).read_bytes() == kept
    partials.remove(NAME)
    assert left(folder) == []


def test_one_adds_at_a_time(partials: LocalPartials) -> None:
    partial = partials.open(NAME)
    partial.write(b"first")
    with pytest.raises(Busy):
        partials.open(NAME)
    with pytest.raises(Busy):
        partials.finish(NAME)
    assert partials.size(NAME) == 5
    partial.close()
    assert add(partials, b" second") == 12


def test_it_is_a_blob_as_often_as_is_asked_for(partials: LocalPartials, blobs: Blobs) -> None:
    """The record that is to name it may be written at the second try."""
    add(partials, b"content")
    made = partials.finish(NAME)
    assert partials.finish(NAME) == made
    assert partials.size(NAME) == 7
    with pytest.raises(Busy):
        partials.open(NAME)
    assert partials.size(NAME) == 7
    assert [*blobs.sweep(set(), time.time() + 10)] == [made[0]]
    assert partials.size(NAME) == 0
    with pytest.raises(FileNotFoundError):
        partials.finish(NAME)
    assert add(partials, b"again") == 5


def test_whoever_opened_it_a_moment_before_it_became_a_blob_cannot_change_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partials = LocalPartials(tmp_path / "partial", LocalBlobs(tmp_path / "blobs"))
    add(partials, b"content")
    opened = os.open

    def open_late(*args: object, **options: object) -> int:
        handle = opened(*args, **options)  # type: ignore[arg-type]
        monkeypatch.setattr(os, "open", opened)
        partials.finish(NAME)
        return handle

    monkeypatch.setattr(os, "open", open_late)
    with pytest.raises(Busy):
        partials.open(NAME)


def test_nothing_is_made_of_nothing(partials: LocalPartials) -> None:
    with pytest.raises(FileNotFoundError):
        partials.finish(NAME)
    partials.remove(NAME)
    assert partials.size(NAME) == 0


@pytest.mark.parametrize("name", ["../etc", "a/b", "", "."])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    partials = LocalPartials(tmp_path, MemoryBlobs())
    with pytest.raises(FileNotFoundError):
        partials.open(name)


def test_what_nobody_goes_on_with_is_swept(partials: LocalPartials, tmp_path: Path) -> None:
    add(partials, b"content")
    partial = partials.open(NAME)
    partial.doubt()
    partial.write(b"more")
    assert [*partials.sweep(time.time() - 60)] == []
    assert NAME not in [*partials.sweep(time.time() + 60)], "somebody is adding to it"
    partial.close()
    assert [*partials.sweep(time.time() + 60)] == [NAME]
    assert left(tmp_path) == []


def test_a_folder_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    partials = LocalPartials(tmp_path / "none", MemoryBlobs())
    assert [*partials.sweep(time.time())] == []
    partials.remove(NAME)
