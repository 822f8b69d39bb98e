"""Folders and files as one archive."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from winnow.client import UnusableFile
from winnow.client.packing import PackedBody, is_packed
from winnow.contract.strict_tar import open_tar


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {
        "b/2.png": b"two",
        "a/1.png": b"",
        "a/" + 120 * "n": b"x" * 513,
        ".hidden": b"h",
    }.items():
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "pictures"


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {it.name: archive.extractfile(it).read() for it in archive}  # type: ignore[union-attr]


def test_a_folder_becomes_a_tar_of_its_files_in_the_order_of_their_names(folder: Path) -> None:
    body = PackedBody([folder])
    content = body.read()
    assert list(members(content)) == ["a/1.png", "a/" + 120 * "n", "b/2.png"]
    assert members(content)["a/" + 120 * "n"] == b"x" * 513
    assert body.size == len(content)
    assert body.sha256 == hashlib.sha256(content).hexdigest()


def test_the_service_reads_what_is_packed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "p.tar").write_bytes(PackedBody([folder]).read())
    with (tmp_path / "p.tar").open("rb") as file:
        assert set(open_tar(file, max_bytes=10**6).members) == {"a/1.png", "a/" + 120 * "n", "b/2.png"}


def test_it_is_read_piece_by_piece_and_again_from_the_start(folder: Path) -> None:
    body = PackedBody([folder])
    whole = body.read()
    assert body.seek(0, io.SEEK_END) == body.size
    body.seek(0)
    assert b"".join(iter(lambda: body.read(7), b"")) == whole
    assert body.tell() == body.size


def test_several_files_lie_side_by_side(tmp_path: Path) -> None:
    for name in ("texts.csv", "tokenizer.json"):
        (tmp_path / name).write_text(name)
    paths = [tmp_path / "tokenizer.json", tmp_path / "texts.csv"]
    assert is_packed(paths)
    assert members(PackedBody(paths).read()) == {
        "texts.csv": b"texts.csv",
        "tokenizer.json": b"tokenizer.json",
    }


def test_one_file_is_sent_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"x")
    assert not is_packed([tmp_path / "d.npz"])
    assert is_packed([tmp_path])


def test_a_link_is_refused(folder: Path) -> None:
    (folder / "c").symlink_to("/etc/passwd")
    with pytest.raises(UnusableFile, match="is a link"):
        PackedBody([folder])


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="has no files in it"):
        PackedBody([tmp_path])


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.csv").write_text("1")
    with pytest.raises(UnusableFile, match=r"both be x\.csv in one archive"):
        PackedBody([tmp_path / "a" / "x.csv", tmp_path / "b" / "x.csv"])


def test_a_file_that_changes_meanwhile_is_refused(folder: Path) -> None:
    body = PackedBody([folder])
    (folder / "b" / "2.png").write_bytes(b"more than two")
    with pytest.raises(UnusableFile, match="changed while it was sent"):
        body.read()
