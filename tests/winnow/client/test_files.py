import base64
import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from winnow.client.errors import UnusableFile
from winnow.client.files import FileBody, is_package, sha256_of


def test_a_body_reads_the_file_each_time_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content := bytes(range(256)) * 10_000)
    body = FileBody(path)
    assert (b"".join(body), b"".join(body), body.size) == (content, content, len(content))


def test_the_content_digest_is_that_of_rfc_9530(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello")
    expected = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    assert FileBody(path).content_digest == f"sha-256=:{expected}:"
    assert sha256_of(path) == hashlib.sha256(b"hello").hexdigest()


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(3_000_000))
    seen: list[tuple[int, int]] = []
    for _ in FileBody(path, lambda done, total: seen.append((done, total))):
        pass
    assert seen[-1] == (3_000_000, 3_000_000)
    assert seen == sorted(seen)


@pytest.mark.parametrize(("name", "says"), [("missing", "no file"), ("folder", "folder"), ("empty", "empty")])
def test_a_file_that_cannot_be_sent_is_a_sentence(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    with pytest.raises(UnusableFile, match=says):
        FileBody(tmp_path / name)


@pytest.mark.parametrize("size", [10, 30])
def test_a_file_that_changes_while_it_is_sent_is_noticed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(20))
    body = FileBody(path)
    path.write_bytes(bytes(size))
    with pytest.raises(UnusableFile, match="changed"):
        list(body)


@pytest.mark.parametrize(
    ("names", "several"),
    [
        (["a.onnx", "b.ONNX"], True),
        (["onnx/a.onnx", "onnx/b.onnx", "config.json"], True),
        (["a.onnx", "weights.bin"], False),
        (["m/a.onnx", "__MACOSX/m/._a.onnx"], False),
        ([], False),
    ],
)
def test_an_archive_of_several_graphs_is_a_package(tmp_path: Path, names: list[str], several: bool) -> None:
    packed, plain = tmp_path / "model.zip", tmp_path / "model.tar"
    with zipfile.ZipFile(packed, "w") as archive, tarfile.open(plain, "w") as tar:
        for name in names:
            archive.writestr(name, b"x")
            tar.addfile(tarfile.TarInfo(name))
    assert is_package(packed) is is_package(plain) is several


def test_what_is_no_archive_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 cut")
    assert not any(is_package(tmp_path / name) for name in ("model.onnx", "cut.zip", "missing"))
