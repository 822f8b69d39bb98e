import io
import zipfile
from pathlib import Path

import pytest

from app.storage.local_blobs import LocalBlobs
from app.storage.memory_blobs import MemoryBlobs
from app.storage.ports import Blobs
from worker import curves
from worker.curves import pack


@pytest.fixture(params=["memory", "local"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return MemoryBlobs() if request.param == "memory" else LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "curves"
    for name in ("0-finetune/a", "0-finetune/deep/b", "2-distillation/c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 1000)
    return folder


def names(folder: Path, blobs: Blobs) -> list[str]:
    packed = pack(folder, blobs)
    if packed is None:
        return []
    content = blobs.source(packed[0]).read_bytes()
    assert len(content) == packed[1]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_every_file_is_there_under_the_step_that_drew_it(folder: Path, blobs: Blobs) -> None:
    packed = pack(folder, blobs)
    assert packed is not None
    with zipfile.ZipFile(blobs.source(packed[0])) as archive:
        read = {name: archive.read(name) for name in archive.namelist()}
    assert read == {
        name: name.encode() * 1000 for name in ("0-finetune/a", "0-finetune/deep/b", "2-distillation/c")
    }
    assert packed == pack(folder, blobs)


def test_nothing_is_nothing(tmp_path: Path, blobs: Blobs) -> None:
    assert pack(tmp_path / "absent", blobs) is None
    (tmp_path / "empty" / "0-finetune").mkdir(parents=True)
    assert pack(tmp_path / "empty", blobs) is None


def test_links_are_neither_taken_nor_followed(folder: Path, tmp_path: Path, blobs: Blobs) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    (folder / "0-finetune" / "link").symlink_to(tmp_path / "secret" / "key")
    (folder / "1-link").symlink_to(tmp_path / "secret")
    assert names(folder, blobs) == ["0-finetune/a", "0-finetune/deep/b", "2-distillation/c"]


def test_names_that_no_zip_can_hold_are_left_out(folder: Path, blobs: Blobs) -> None:
    (folder / "0-finetune" / "\udcff").write_bytes(b"x")
    (folder / "0-finetune" / "new\nline").write_bytes(b"x")
    assert names(folder, blobs) == ["0-finetune/a", "0-finetune/deep/b", "2-distillation/c"]


@pytest.mark.parametrize(("bound", "value"), [("MAX_FILES", 2), ("MAX_BYTES", 30_000)])
def test_there_are_bounds(
    folder: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(curves, bound, value)
    assert names(folder, blobs) == ["0-finetune/a", "0-finetune/deep/b"]
