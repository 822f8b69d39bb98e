"""Archives are unpacked only when every member is harmless and a model is in them."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import graphs
from winnow.contract.errors import Refusal
from worker.compression.upload_gate.archive import is_archive, models_of, unpack

Members = dict[str, bytes]
CAP = 2**30


def zipped(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: Members, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def code(path: Path, folder: Path, max_bytes: int = CAP) -> str:
    with pytest.raises(Refusal) as caught:
        unpack(path, folder, max_bytes=max_bytes)
    return caught.value.problem.code


@pytest.fixture
def model(tmp_path: Path) -> Members:
    source = tmp_path / "source"
    source.mkdir()
    graphs.with_external_data(source)
    return {file.name: file.read_bytes() for file in source.iterdir()}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("prefix", ["", "./", "my model/", "a/b/"])
def test_a_model_and_its_data_come_out_as_they_went_in(
    pack: Callable[[Path, Members], Path], prefix: str, model: Members, tmp_path: Path
) -> None:
    if pack is zipped:
        prefix = prefix.removeprefix("./")  # tar writes it, zip does not
    path = pack(tmp_path / "upload", {prefix + name: content for name, content in model.items()})
    assert is_archive(path)
    (found,) = models_of(unpack(path, tmp_path / "out", max_bytes=CAP))
    assert found.read_bytes() == model["model.onnx"]
    assert (found.parent / "model.data").read_bytes() == model["model.data"]


def test_the_litter_of_macos_is_left_out(model: Members, tmp_path: Path) -> None:
    path = zipped(tmp_path / "upload", {**model, "__MACOSX/._model.onnx": b"x", "._model.onnx": b"x"})
    unpack(path, tmp_path / "out", max_bytes=CAP)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["model.data", "model.onnx"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/winnow-evil", "a\\..\\evil", "C:/evil"])
def test_names_that_lead_outside_are_refused(
    pack: Callable[[Path, Members], Path], name: str, model: Members, tmp_path: Path
) -> None:
    assert code(pack(tmp_path / "upload", {**model, name: b"x"}), tmp_path / "out") == "unsafe_archive"
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_special_files_in_a_tar_are_refused(kind: bytes, model: Members, tmp_path: Path) -> None:
    path = tarred(tmp_path / "upload", model)
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert code(path, tmp_path / "out") == "unsafe_archive"


def test_a_symbolic_link_in_a_zip_is_refused(model: Members, tmp_path: Path) -> None:
    path = zipped(tmp_path / "upload", model)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert code(path, tmp_path / "out") == "unsafe_archive"


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "upload", {"model.onnx": b"\0" * 20_000_000}, zipfile.ZIP_DEFLATED)
    assert code(path, tmp_path / "out") == "unsafe_archive"
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("compress", ["gz", "bz2", "xz"])
def test_a_compressed_tar_is_no_archive(compress: str, model: Members, tmp_path: Path) -> None:
    assert not is_archive(tarred(tmp_path / "upload", model, f"w:{compress}"))


def test_the_absolute_cap_holds(model: Members, tmp_path: Path) -> None:
    assert code(zipped(tmp_path / "upload", model), tmp_path / "out", max_bytes=1000) == "unsafe_archive"


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    path = tarred(tmp_path / "upload", {f"file{index}": b"" for index in range(10_001)})
    assert code(path, tmp_path / "out") == "unsafe_archive"


@pytest.mark.parametrize("names", [[], ["model.pb"], ["a/readme.md"]])
def test_a_model_is_wanted(names: list[str], tmp_path: Path) -> None:
    path = tarred(tmp_path / "upload", {"README.md": b"x", **dict.fromkeys(names, b"x")})
    assert code(path, tmp_path / "out") == "invalid_model"


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_truncated_archive_is_refused(
    pack: Callable[[Path, Members], Path], model: Members, tmp_path: Path
) -> None:
    path = pack(tmp_path / "upload", model)
    path.write_bytes(path.read_bytes()[:1500])
    assert code(path, tmp_path / "out") == "unsafe_archive"


@pytest.mark.parametrize("name", ["model.data", "MODEL.DATA", "model.data/part", "./model.data"])
def test_a_name_that_stands_twice_is_refused_without_a_path_of_the_server(
    name: str, model: Members, tmp_path: Path
) -> None:
    path = tarred(tmp_path / "upload", model)
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(Refusal) as caught:
        unpack(path, tmp_path / "out", max_bytes=CAP)
    assert caught.value.problem.code == "unsafe_archive"
    assert str(tmp_path) not in caught.value.problem.detail


def test_a_plain_model_is_no_archive(tmp_path: Path) -> None:
    assert not is_archive(graphs.with_external_data(tmp_path))
