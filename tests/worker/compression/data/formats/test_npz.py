"""Archives nobody vouches for."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from winnow.contract.errors import Refusal
from worker.compression.data.formats.npz import open_arrays

CAP = 1 << 30


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


def archive(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def refused(path: Path, scratch: Path, cap: int = CAP) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        open_arrays(path, scratch, max_unpacked_bytes=cap)
    return caught.value.problem.code, caught.value.problem.detail


@settings(max_examples=40, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    fortran=st.booleans(),
    compressed=st.booleans(),
)
def test_every_array_comes_back_as_it_was_saved(
    array: Any, fortran: bool, compressed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("npz")
    saved = np.asfortranarray(array) if fortran and array.ndim else array
    (np.savez_compressed if compressed else np.savez)(folder / "a.npz", x=saved)
    opened = open_arrays(folder / "a.npz", folder, max_unpacked_bytes=CAP)["x"]
    assert opened.dtype == array.dtype
    np.testing.assert_array_equal(opened, array)


def test_a_stored_member_is_mapped_where_it_lies_and_nothing_is_unpacked(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(10.0))
    opened = open_arrays(tmp_path / "a.npz", tmp_path / "scratch", max_unpacked_bytes=CAP)["x"]
    assert isinstance(opened, np.memmap)
    assert opened.filename == tmp_path / "a.npz"
    assert not (tmp_path / "scratch").exists()


def test_a_compressed_member_is_unpacked_once(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(1000.0))
    open_arrays(tmp_path / "a.npz", tmp_path / "scratch", max_unpacked_bytes=CAP)
    (file,) = (tmp_path / "scratch").rglob("*.npy")
    before = file.stat().st_ino
    again = open_arrays(tmp_path / "a.npz", tmp_path / "scratch", max_unpacked_bytes=CAP)["x"]
    np.testing.assert_array_equal(again, np.arange(1000.0))
    assert [f.stat().st_ino for f in (tmp_path / "scratch").rglob("*") if f.is_file()] == [before]


def test_what_was_left_half_unpacked_is_unpacked_again(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(1000.0))
    open_arrays(tmp_path / "a.npz", tmp_path / "scratch", max_unpacked_bytes=CAP)
    (file,) = (tmp_path / "scratch").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:100])
    again = open_arrays(tmp_path / "a.npz", tmp_path / "scratch", max_unpacked_bytes=CAP)["x"]
    np.testing.assert_array_equal(again, np.arange(1000.0))


def test_two_archives_with_the_same_names_do_not_mix_in_one_scratch(tmp_path: Path) -> None:
    for name, start in (("a", 0), ("b", 7)):
        np.savez_compressed(tmp_path / f"{name}.npz", x=np.arange(start, start + 100))
    first = [
        int(open_arrays(tmp_path / f"{name}.npz", tmp_path / "s", max_unpacked_bytes=CAP)["x"][0])
        for name in "ab"
    ]
    assert first == [0, 7]


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}, None], object))
    assert refused(tmp_path / "a.npz", tmp_path)[0] == "pickle_refused"


def test_a_bomb_is_refused_by_its_ratio_and_by_the_cap(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10_000_000))
    assert refused(tmp_path / "a.npz", tmp_path / "s")[0] == "unsafe_archive"
    np.savez(tmp_path / "b.npz", x=np.zeros(1000))
    assert refused(tmp_path / "b.npz", tmp_path / "s", cap=4000)[0] == "unsafe_archive"
    assert not (tmp_path / "s").exists()


def test_one_member_may_compress_far_when_the_archive_does_not(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x=noise, labels=np.zeros(200_000, np.int64))
    assert set(open_arrays(tmp_path / "a.npz", tmp_path, max_unpacked_bytes=CAP)) == {"x", "labels"}


def _lying_shape() -> bytes:
    return npy(np.zeros(4)).replace(b"(4,)", b"(9,)")


@pytest.mark.parametrize(
    "members",
    [
        [("x.npy", b"no header at all")],
        [("x.npy", npy(np.zeros(4))[:20])],
        [("x.npy", _lying_shape())],
        [("x.npy", npy(np.zeros(4)).replace(b"(4,)", b"(-4,)").replace(b"  \n", b" \n"))],
        [("x.npy", npy(np.zeros(4)) + b"more")],
        [("x.txt", b"text")],
        [],
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_lying_members_are_refused_with_a_sentence(
    members: list[tuple[str, bytes]], method: int, tmp_path: Path
) -> None:
    code, detail = refused(archive(tmp_path / "a.npz", members, method), tmp_path / "s")
    assert code == "invalid_dataset"
    assert detail.endswith(".")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicated_members_are_refused(tmp_path: Path) -> None:
    members = [("x.npy", npy(np.zeros(4))), ("x.npy", npy(np.ones(4)))]
    assert refused(archive(tmp_path / "a.npz", members), tmp_path)[0] == "unsafe_archive"


def test_names_that_differ_by_case_are_two_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(1), X=np.ones(2))
    assert set(open_arrays(tmp_path / "a.npz", tmp_path, max_unpacked_bytes=CAP)) == {"x", "X"}


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x93NUMPY"])
def test_what_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert refused(tmp_path / "a.npz", tmp_path)[0] == "invalid_dataset"


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 700), flip=st.integers(0, 600), compressed=st.booleans())
def test_a_damaged_archive_is_refused_or_opens_and_nothing_else(
    cut: int, flip: int, compressed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("npz")
    (np.savez_compressed if compressed else np.savez)(folder / "a.npz", x=np.arange(50.0))
    content = bytearray((folder / "a.npz").read_bytes())
    truncated = bytes(content[:-cut])
    content[flip % len(content)] ^= 0xFF
    for damaged in (truncated, bytes(content)):
        (folder / "b.npz").write_bytes(damaged)
        try:
            opened = open_arrays(folder / "b.npz", folder / "s", max_unpacked_bytes=CAP)
        except Refusal:
            pass
        else:
            for array in opened.values():
                np.asarray(array).copy()


def test_a_member_that_points_behind_the_end_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(50.0))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    extra = struct.unpack_from("<H", content, 28)[0]
    struct.pack_into("<H", content, 28, extra + 400)
    (tmp_path / "a.npz").write_bytes(content)
    assert refused(tmp_path / "a.npz", tmp_path)[0] == "invalid_dataset"
