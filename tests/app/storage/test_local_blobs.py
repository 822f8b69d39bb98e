"""What only the local directory has to keep."""

import fcntl
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from app.storage.local_blobs import LocalBlobs, refusing_when_full
from winnow.contract.errors import Refusal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def parts(root: Path) -> list[Path]:
    return list((root / "incoming").glob("*.part"))


def test_a_blob_lies_where_its_name_says(root: Path) -> None:
    writer = LocalBlobs(root).writer()
    writer.write(b"content")
    sha256, _ = writer.commit()
    assert (root / sha256[:2] / sha256).read_bytes() == b"content"
    assert parts(root) == []


def test_nothing_is_left_by_an_abort_nor_by_putting_the_same_again(root: Path) -> None:
    blobs = LocalBlobs(root)
    for _ in range(2):
        writer = blobs.writer()
        writer.write(b"content")
        writer.commit()
    aborted = blobs.writer()
    aborted.write(b"other")
    aborted.abort()
    assert parts(root) == []


def test_what_is_put_again_is_as_much_work_as_the_first_time_and_goes_with_the_next_sweep(root: Path) -> None:
    """It is written, renamed and synced, so that the time it takes tells nobody that it was there."""
    blobs = LocalBlobs(root)
    for _ in range(3):
        writer = blobs.writer()
        writer.write(b"content")
        sha256, _ = writer.commit()
    folder = root / sha256[:2]
    assert sorted(file.suffix for file in folder.iterdir()) == ["", ".again", ".again"]
    assert list(blobs.sweep({sha256}, time.time() - 600)) == []
    assert [file.name for file in folder.iterdir()] == [sha256]
    assert blobs.source(sha256).stat().st_nlink == 1


def test_a_failed_copy_leaves_nothing(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no plain file"):
        LocalBlobs(root).put_file(tmp_path)
    assert parts(root) == []


def test_a_sweep_removes_what_a_dead_process_left_and_not_what_still_comes_in(root: Path) -> None:
    blobs = LocalBlobs(root)
    slow = blobs.writer()
    slow.write(b"content")
    left = root / "incoming" / "left.part"
    left.write_bytes(b"half of a model")
    assert list(blobs.sweep(set(), time.time() - 600)) == []
    assert left.exists()
    assert list(blobs.sweep(set(), time.time() + 600)) == []
    assert not left.exists()
    assert slow.commit()[1] == 7


def test_a_sweep_touches_no_file_that_is_no_blob(root: Path) -> None:
    blobs = LocalBlobs(root)
    note = root / "ab" / "note.txt"
    note.write_text("the operator's")
    assert list(blobs.sweep(set(), time.time() + 60)) == []
    assert note.exists()


def test_another_process_sees_what_was_put(root: Path) -> None:
    writer = LocalBlobs(root).writer()
    writer.write(b"content")
    sha256, size = writer.commit()
    assert LocalBlobs(root).size(sha256) == size


def test_a_full_disk_is_refused_with_a_sentence() -> None:
    with pytest.raises(Refusal) as refused, refusing_when_full():
        Path("/dev/full").write_bytes(b"x")
    assert refused.value.problem.code == "disk_full"
    with pytest.raises(FileNotFoundError), refusing_when_full():
        Path("/nowhere/at/all").write_bytes(b"x")


def test_a_ping_fails_when_the_folder_is_gone(root: Path) -> None:
    blobs = LocalBlobs(root)
    (root / "incoming").rmdir()
    with pytest.raises(OSError):
        blobs.ping()


def test_names_come_and_go_one_at_a_time(root: Path) -> None:
    """Without the lock a sweep could find a blob old, and remove it just after it was put again."""
    blobs = LocalBlobs(root)
    old, new = blobs.writer(), blobs.writer()
    old.write(b"old")
    old.commit()
    new.write(b"new")
    with ThreadPoolExecutor(2) as pool:
        with (root / "incoming" / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            swept = pool.submit(lambda: set(blobs.sweep({new.digest()}, time.time() + 60)))
            put = pool.submit(new.commit)
            assert wait([swept, put], timeout=0.2).done == set()
        assert swept.result() == {old.digest()}
        assert put.result()[1] == 3
