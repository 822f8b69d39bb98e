"""One reader of zips: what others write is read as they read it; what could be read in two ways is refused."""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from winnow.contract.errors import Refusal
from winnow.contract.strict_zip import BrokenZip, open_zip

Files = dict[str, bytes]
NAMES = st.from_regex(r"[a-z]{1,6}(/[a-z]{1,6}){0,2}", fullmatch=True)
CONTENTS = st.binary(max_size=300) | st.integers(0, 3000).map(lambda n: bytes(range(7)) * n)


class Unseekable(io.BytesIO):
    """To which zipfile writes sizes behind each content."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError

    def seek(self, *_: int) -> int:
        raise OSError


def written(
    files: Files, *, method: int = zipfile.ZIP_STORED, wide: bool = False, stream: bool = False
) -> bytes:
    buffer = Unseekable() if stream else io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=wide) as member:
                member.write(content)
    return buffer.getvalue()


def read(content: bytes, *, ignore_case: bool = True) -> Files:
    archive = open_zip(io.BytesIO(content), ignore_case=ignore_case)
    return {name: archive.read(name, limit=2**24) for name in archive.members}


def refused(content: bytes, **options: bool) -> bool:
    try:
        read(content, **options)
    except BrokenZip:
        return True
    except Refusal as refusal:
        return refusal.problem.code == "unsafe_archive"
    return False


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, CONTENTS, max_size=5).filter(
        lambda files: not any(a.startswith(b + "/") for a in files for b in files)
    ),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.booleans(),
    st.booleans(),
)
@example({}, zipfile.ZIP_STORED, False, False)
@example({"a": b""}, zipfile.ZIP_DEFLATED, True, True)
@example({"a": bytes(100_000)}, zipfile.ZIP_DEFLATED, False, False)
def test_what_zipfile_writes_is_read_as_it_was_written(
    files: Files, method: int, wide: bool, stream: bool
) -> None:
    assert read(written(files, method=method, wide=wide, stream=stream)) == files


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read_and_names_that_differ_by_case_are_two(save: Callable[..., None]) -> None:
    buffer = io.BytesIO()
    save(buffer, X=np.zeros(3), x=np.ones((2, 2)), **{"input:0": np.arange(5)})
    assert list(read(buffer.getvalue(), ignore_case=False)) == ["X.npy", "x.npy", "input:0.npy"]
    assert refused(buffer.getvalue())


def test_umlauts_are_read_where_they_are_marked() -> None:
    assert read(written({"größe": b"1"})) == {"größe": b"1"}


SAMPLE = {"top/a": b"abcabc" * 30, "top/b": bytes(64), "top/c/d": b""}
ARCHIVES = [written(SAMPLE, method=m, stream=s) for m in (0, 8) for s in (False, True)]


@settings(max_examples=400, deadline=None)
@example(ARCHIVES[1], [(456, 64)])
@given(
    st.sampled_from(ARCHIVES),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_what_is_read_from_changed_bytes_is_what_zipfile_reads(
    archive: bytes, changes: list[tuple[int, int]]
) -> None:
    """The law: no second reader sees something else. Refusing is always right."""
    content = bytearray(archive)
    for at, value in changes:
        content[at % len(content)] = value
    try:
        files = read(bytes(content))
    except (BrokenZip, Refusal):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as other:
        assert {name: other.read(name) for name in other.namelist() if not name.endswith("/")} == files


@settings(deadline=None)
@example(ARCHIVES[0], 10, b"\1", 1)
@given(st.sampled_from(ARCHIVES), st.integers(0, 2**16), st.binary(max_size=40), st.integers(0, 40))
def test_nothing_can_be_put_in_or_left_out(archive: bytes, at: int, put: bytes, left: int) -> None:
    """Only what says nothing of names and contents, such as a member's time, can be exchanged for as many bytes."""
    at %= len(archive) + 1
    content = archive[:at] + put + archive[at + left :]
    assert refused(content) or (len(content) == len(archive) and read(content) == SAMPLE)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_zip_are_refused(content: bytes) -> None:
    assert refused(content)


def renamed(old: bytes, new: bytes) -> bytes:
    return written({"abc": b"1", "dir/abd": b"2"}).replace(old, new)


@pytest.mark.parametrize(
    "name", ["/bc", "../", "..", ".", "./x", "a//b", "a\\b", "C:/x", "a\nb", "a/..", "a/../b"]
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    assert refused(written({name: b""}))


def test_a_name_with_a_nul_is_refused() -> None:
    assert refused(renamed(b"abc", b"a\0c"))


@pytest.mark.parametrize(
    "files", [{"abc": b"1", "ABC": b"2"}, {"a": b"1", "a/b": b"2"}, {"straße": b"", "STRASSE": b""}]
)
def test_names_that_are_one_to_some_readers_are_refused(files: Files) -> None:
    assert refused(written(files))


def test_a_name_twice_is_refused() -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    assert refused(buffer.getvalue())


def test_a_name_that_differs_between_directory_and_header_is_refused() -> None:
    content = written({"abc": b"1"})
    assert refused(content.replace(b"abc", b"abx", 1))


def test_a_name_given_again_in_an_extra_field_is_refused() -> None:
    info = zipfile.ZipInfo("abc")
    info.extra = struct.pack("<2HBI3s", 0x7075, 8, 1, 0, b"xyz")
    assert refused(of_one(info))


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o060644, 0o140644, 0o040755])
def test_links_and_special_files_are_refused(mode: int) -> None:
    info = zipfile.ZipInfo("abc")
    info.external_attr = mode << 16
    assert refused(of_one(info))


def of_one(info: zipfile.ZipInfo) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused_by_number(method: int) -> None:
    with pytest.raises(Refusal, match=f"method {method}"):
        read(written({"a": b"1" * 100}, method=method))


def test_encryption_is_refused() -> None:
    content = bytearray(written({"a": b"1" * 20}))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    assert refused(bytes(content))


def test_a_comment_behind_the_end_is_refused() -> None:
    buffer = io.BytesIO(written({"a": b"1"}))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"PK\5\6" + bytes(18)
    assert refused(buffer.getvalue())


def test_two_members_may_not_share_their_bytes() -> None:
    """The directory names the first member twice, as archives that unpack to petabytes do."""
    content = written({"aaa": b"x" * 50, "bbb": b"x" * 50})
    first, second = content.index(b"PK\1\2"), content.rindex(b"PK\1\2")
    shared = bytearray(content)
    shared[second + 42 : second + 46] = shared[first + 42 : first + 46]
    assert refused(bytes(shared))


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    bomb = written({"a": bytes(10_000_000)}, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(Refusal, match="100 times"):
        open_zip(io.BytesIO(bomb))
    with pytest.raises(Refusal, match="allowed are 10 "):
        open_zip(io.BytesIO(written({"a": bytes(20)})), max_bytes=10)
    archive = open_zip(io.BytesIO(written({"a": bytes(20)})))
    with pytest.raises(Refusal, match="more than 19"):
        archive.read("a", limit=19)


def test_a_member_that_unpacks_to_more_than_it_says_is_refused() -> None:
    content = bytearray(written({"a": b"abc" * 50}, method=zipfile.ZIP_DEFLATED))
    at = content.index(b"PK\1\2")
    content[22:26] = content[at + 24 : at + 28] = struct.pack("<I", 100)
    with pytest.raises(BrokenZip, match="more than it promises"):
        read(bytes(content))


def test_a_content_with_another_crc_is_refused_by_the_read_that_ends_it() -> None:
    content = written({"a": b"abcdef"})
    stream = open_zip(io.BytesIO(content.replace(b"abcdef", b"abcdeg"))).stream("a")
    assert stream.read(5) == b"abcde"
    with pytest.raises(BrokenZip, match="CRC"):
        stream.read(1)


class Counting(io.BytesIO):
    """Knows how many bytes were read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.taken += len(content)
        return content


def test_too_many_members_are_refused_before_the_directory_is_read() -> None:
    file = Counting(written({f"{n}.npy": b"" for n in range(100_000)}))
    with pytest.raises(Refusal, match="100000 members"):
        open_zip(file)
    assert file.taken <= 200


def test_a_directory_of_long_names_is_refused_before_it_is_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(9000):
            info = zipfile.ZipInfo(f"{number:01000}")
            archive.writestr(info, b"")
    file = Counting(buffer.getvalue())
    with pytest.raises(Refusal, match="its directory"):
        open_zip(file)
    assert file.taken <= 200


def test_streams_of_one_file_can_be_read_in_turns() -> None:
    archive = open_zip(io.BytesIO(written({"a": b"abc" * 9, "b": b"xyz" * 9}, method=zipfile.ZIP_DEFLATED)))
    a, b = archive.stream("a"), archive.stream("b")
    assert [a.read(2), b.read(3), a.read(4), b.read()] == [b"ab", b"xyz", b"cabc", b"xyz" * 8]
    assert a.tell() == 6
