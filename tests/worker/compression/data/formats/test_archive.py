"""Members of an archive by number: what lies there, no more than allowed, and nothing that is not there."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.pictures import tar_of, zip_of
from winnow.contract.errors import Refusal
from worker.compression.data.formats.archive import Archive, open_archive
from worker.compression.machine.threads import in_threads

FILES = {f"{number:03}.txt": bytes([number]) * number for number in range(200)}


def opened(path: Path, max_bytes: int = 1 << 30) -> Archive:
    return open_archive(path, max_bytes=max_bytes)


@pytest.mark.parametrize("pack", [zip_of, tar_of, lambda path, files: zip_of(path, files, 8)])
def test_contents_are_read_by_number_by_any_thread(pack: Any, tmp_path: Path) -> None:
    archive = opened(pack(tmp_path / "a", FILES))
    assert list(archive.names) == sorted(FILES)
    assert list(in_threads(archive.content, range(200))) == list(FILES.values())


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_member_above_its_limit_is_refused_unread(pack: Any, tmp_path: Path) -> None:
    archive = opened(pack(tmp_path / "a", FILES))
    assert archive.named("100.txt", limit=100) == FILES["100.txt"]
    with pytest.raises(Refusal) as caught:
        archive.named("101.txt", limit=100)
    assert caught.value.problem.code == "unsafe_archive"
    assert "'101.txt'" in caught.value.problem.detail


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_what_all_members_unpack_to_is_bounded(pack: Any, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        opened(pack(tmp_path / "a", FILES), max_bytes=10_000)
    assert caught.value.problem.code == "unsafe_archive"


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_what_was_cut_short_is_refused(pack: Any, tmp_path: Path) -> None:
    path = pack(tmp_path / "a", FILES)
    path.write_bytes(path.read_bytes()[:-15000])
    with pytest.raises(Refusal) as caught:
        opened(path)
    assert caught.value.problem.code == "invalid_dataset"


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_file_that_becomes_shorter_is_a_refusal(pack: Any, tmp_path: Path) -> None:
    path = pack(tmp_path / "a", FILES)
    archive = opened(path)
    os.truncate(path, 1000)
    with pytest.raises(Refusal) as caught:
        archive.content(150)
    assert caught.value.problem.code == "invalid_dataset"


def test_an_archive_is_opened_once_and_again_when_it_changed(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a", FILES)
    first = opened(path)
    assert opened(path) is first
    assert list(opened(zip_of(path, {"b": b"1"})).names) == ["b"]
