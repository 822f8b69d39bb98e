"""What the bytes are; a name proves nothing."""

import gzip
import io
import pickle
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.sniff import dataset_format, model_format, sniffed
from tests.app.api.conftest import ONNX, zipped
from tests.support.refusals import refusal
from winnow.contract.errors import Refusal

PT2 = zipped(
    {"net/archive_format": b"pt2", "net/models/model.json": b"{}", "net/data/sample_inputs/model.pt": b""}
)
TORCHSCRIPT = zipped({"net/data.pkl": b"", "net/code/__torch__.py": b"", "net/constants.pkl": b""})
STATE_DICT = zipped({"archive/data.pkl": b"", "archive/data/0": b"", "archive/version": b"3"})
NPZ = zipped({"x.npy": b""})


def nameless(content: bytes) -> bytes:
    """Its member's name begins with NUL, which zipfile takes for its end."""
    return content.replace(b"x.npy", b"\0.npy")


def header(kind: bytes, payload: bytes = b"11 a=bcdef\n") -> bytes:
    info = tarfile.TarInfo("h")
    info.type, info.size = kind, len(payload)
    return info.tobuf() + payload + bytes(-len(payload) % 512)


def tarred(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = (
                kind,
                len(content),
                "/etc/passwd" if kind == tarfile.SYMTYPE else "",
            )
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def found(content: bytes, expected: str = "auto", allow: bool = True) -> str:
    return model_format(io.BytesIO(content), expected, allow)


def refused(content: bytes, expected: str = "auto", allow: bool = True) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        found(content, expected, allow)
    return caught.value.problem.code, caught.value.problem.detail


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (ONNX, "onnx"),
        (ONNX[2:] + ONNX[:2], "onnx"),
        (zipped({"m/model.onnx": ONNX, "m/weights.bin": b"1"}), "onnx"),
        (tarred({"model.onnx": ONNX, "weights.bin": b"1"}), "onnx"),
        (zipped({"m/model.onnx": ONNX, "__MACOSX/m/._model.onnx": b"1"}), "onnx"),
        (zipped({"a.onnx": b"", "b.onnx": b"", "config.json": b"{}"}), "onnx_package"),
        (tarred({"m/a.onnx": ONNX, "m/b.onnx": ONNX}), "onnx_package"),
        (PT2, "torch_export"),
        (TORCHSCRIPT, "torchscript"),
    ],
)
def test_formats_are_told_from_the_content(content: bytes, format: str) -> None:
    assert found(content) == format
    assert found(content, expected=format) == format


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"<!DOCTYPE html><html></html>" * 40, "unknown_format", "web page"),
        (b"\n\n  <html>", "unknown_format", "web page"),
        (STATE_DICT, "pickle_refused", ".pt2"),
        (pickle.dumps({"weight": [1.0]}), "pickle_refused", ".onnx"),
        (pickle.dumps({"weight": [1.0]}, protocol=2), "pickle_refused", ".onnx"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "unknown_format", "tf2onnx"),
        (b"\x1c\0\0\0TFL3" + bytes(50), "unknown_format", "TensorFlow Lite"),
        (b'\x40\0\0\0\0\0\0\0{"w":{"dtype":"F32"}}', "unknown_format", "safetensors"),
        (gzip.compress(b"x" * 100, mtime=0), "unknown_format", "gzip"),
        (b"\x93NUMPY\x01\0", "unknown_format", "a dataset (npy)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "unknown_format", "git lfs pull"),
        (b'{"some": "json"}', "unknown_format", "a dataset (jsonl)"),
        (b'{\n  "some": "json"\n}', "unknown_format", "JSON text"),
        (b"[1, 2]", "unknown_format", "no format"),
        (b"a,b\n1,2\n", "unknown_format", "a dataset (csv)"),
        (bytes(100), "unknown_format", ".onnx"),
        (NPZ, "unknown_format", "/v1/datasets"),
        (zipped({"readme.txt": b""}), "unknown_format", "no .onnx file ('readme.txt')"),
        (zipped({}), "unknown_format", "no .onnx file (nothing)"),
        (zipped({"../model.onnx": b""}), "unsafe_archive", "leads out"),
        (tarred({"/model.onnx": b""}), "unsafe_archive", "leads out"),
        (tarred({"model.onnx": b""}, tarfile.SYMTYPE), "unsafe_archive", "link"),
        (NPZ[:-5], "unknown_format", "zip"),
        (nameless(NPZ), "unsafe_archive", "no plain name"),
        (header(b"x") * 2000, "unknown_format", "tar"),
        (header(b"5", b"") * 10_001, "unsafe_archive", "more than 10000"),
        (ONNX[:-1], "invalid_model", "cut short"),
        (ONNX[:3], "invalid_model", "cut short"),
        (ONNX[:2], "invalid_model", "graph"),
        (ONNX + b"\x0b\x01", "invalid_model", "byte 8"),
    ],
)
def test_what_cannot_be_used_is_named(content: bytes, code: str, says: str) -> None:
    told = refused(content)
    assert told[0] == code
    assert says in told[1]


def test_pictures_are_a_dataset_and_no_model() -> None:
    for content, kind in (
        (zipped({"a/1.JPG": b""}), "zip"),
        (tarred({"a/1.png": b"", "A/1.png": b""}), "tar"),
    ):
        assert dataset_format(io.BytesIO(content)) == kind
        assert "/v1/datasets" in refused(zipped({"a/1.JPG": b""}))[1]
    assert found(zipped({"m.onnx": ONNX, "drawing.png": b""})) == "onnx"


def test_a_dataset_may_have_more_members_than_a_model() -> None:
    names = {f"{number}.png": b"" for number in range(10_001)}
    assert dataset_format(io.BytesIO(zipped(names))) == "zip"
    assert refused(zipped(names))[0] == "unsafe_archive"


def test_torchscript_is_off_unless_the_operator_allows_it() -> None:
    code, detail = refused(TORCHSCRIPT, allow=False)
    assert code == "torchscript_disabled"
    assert "WINNOW_ALLOW_TORCHSCRIPT" in detail
    assert ".pt2" in detail


def test_a_format_that_the_bytes_are_not_is_refused() -> None:
    assert refused(ONNX, expected="torch_export")[0] == "unknown_format"


def test_a_directory_too_large_to_read_is_refused_unread() -> None:
    content = bytearray(zipped({"x.npy": b""}))
    huge = bytes(9 * 2**20)
    end = content.rfind(b"PK\5\6")
    length = int.from_bytes(content[end + 12 : end + 16], "little") + len(huge)
    content[end + 12 : end + 16] = length.to_bytes(4, "little")
    assert refused(bytes(content[:end]) + huge + bytes(content[end:]))[0] == "unsafe_archive"


def test_a_name_that_stands_twice_is_refused_at_the_door() -> None:
    twice = tarred({"model.onnx": ONNX})[:1024] + tarred({"model.onnx": ONNX})
    assert refused(twice)[0] == "unsafe_archive"
    assert refused(tarred({"model.onnx": ONNX, "MODEL.ONNX": ONNX}))[0] == "unsafe_archive"


@pytest.mark.parametrize("content", [ONNX, STATE_DICT, PT2, b"<html>", ONNX[:-1], b"\x80\x04\x95junk", b"x"])
def test_a_model_or_a_page_is_no_dataset(content: bytes) -> None:
    assert dataset_format(io.BytesIO(NPZ)) == "npz"
    with pytest.raises(Refusal) as caught:
        dataset_format(io.BytesIO(content))
    assert caught.value.problem.code in ("unknown_format", "pickle_refused")


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", ONNX, NPZ, PT2, tarred({"a.onnx": b""})]),
    st.integers(0, 400),
)
def test_junk_is_refused_and_never_an_accident(junk: bytes, start: bytes, at: int) -> None:
    problem = refusal(lambda: sniffed(io.BytesIO(start[:at] + junk + start[at:])))
    assert problem is None or problem.status < 500


def test_a_link_in_a_zip_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("model.onnx")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert refused(buffer.getvalue())[0] == "unsafe_archive"
