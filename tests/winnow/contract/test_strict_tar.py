"""What the strict reader of tars reads is what tarfile reads; what could be read in two ways is refused."""

import io
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from winnow.contract.errors import Refusal
from winnow.contract.strict_tar import BrokenTar, open_tar
from winnow.contract.strict_tar.header import BLOCK
from winnow.contract.strict_tar.pax import MAX_PAX_BYTES, parse_pax

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
NAMES = st.lists(
    st.text("abcäöü🙂 ", min_size=1, max_size=90).filter(lambda part: part == part.strip()),
    min_size=1,
    max_size=3,
).map("/".join)


def tarred(
    members: dict[str, bytes],
    format: int = tarfile.PAX_FORMAT,
    change: Callable[[tarfile.TarInfo], None] | None = None,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if change:
                change(info)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def read(content: bytes) -> dict[str, bytes]:
    archive = open_tar(io.BytesIO(content), max_bytes=2**30)
    return {name: b"".join(archive.chunks(name, 100)) for name in archive.members}


def by_tarfile(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {
            member.name.removeprefix("./"): archive.extractfile(member)
            for member in archive
            if member.isfile()
        }
        return {name: file.read() for name, file in files.items() if file is not None}


def refused(content: bytes) -> str:
    with pytest.raises((Refusal, BrokenTar)) as caught:
        read(content)
    return str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=1500), max_size=4), st.sampled_from(FORMATS[1:]))
def test_what_tarfile_writes_comes_out_as_it_went_in(members: dict[str, bytes], format: int) -> None:
    folders = {name[:at] for name in members for at, character in enumerate(name) if character == "/"}
    assume(len({name.casefold() for name in members}) == len(members) and not folders & members.keys())
    assert read(tarred(members, format)) == members


@pytest.mark.parametrize("format", FORMATS)
def test_folders_prefixes_and_long_names_are_read_in_every_form(format: int) -> None:
    members = {"a/" + "b" * 98 + "/model.onnx": b"x" * 513, "./c": b"", "plain": b"y" * 512}
    content = tarred(members, format)
    assert read(content) == {name.removeprefix("./"): content for name, content in members.items()}


WRITTEN = {
    format: tarred({"a": b"A" * 700, "f/" + "b" * 120: b"B" * 10, "c": b""}, format) for format in FORMATS[1:]
}


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(FORMATS[1:]),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4),
    st.booleans(),
)
def test_what_is_read_from_changed_bytes_is_what_tarfile_reads(
    format: int, changes: list[tuple[int, int]], mended: bool
) -> None:
    changed = bytearray(WRITTEN[format])
    for place, value in changes:
        changed[place % len(changed)] = value
    if mended:
        _mend_checksums(changed)
    try:
        found = read(bytes(changed))
    except (Refusal, BrokenTar):
        return
    assert found == by_tarfile(bytes(changed))


def _mend_checksums(content: bytearray) -> None:
    for at in range(0, len(content) - BLOCK + 1, BLOCK):
        block = content[at : at + BLOCK]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            content[at + 148 : at + 156] = b"%06o\0 " % sum(block)


def test_links_sparse_and_special_files_are_refused() -> None:
    for kind in {bytes([kind]) for kind in range(256)} - {b"0", b"5", b"\0", b"x", b"g", b"L"}:

        def change(info: tarfile.TarInfo, kind: bytes = kind) -> None:
            info.type = kind

        assert refused(tarred({"a": b""}, tarfile.GNU_FORMAT, change)), kind


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a"},
        {"GNU.sparse.size": "100"},
        {"linkpath": "/etc/passwd"},
        {"hdrcharset": "BINARY"},
        {"size": "1e3"},
        {"size": "-1"},
        {"size": "2"},
        {"path": "../a"},
        {"path": "/a"},
        {"path": "a\0b"},
        {"comment": "x" * MAX_PAX_BYTES},
    ],
)
def test_extended_headers_that_readers_take_differently_are_refused(records: dict[str, str]) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.pax_headers = records

    assert refused(tarred({"a": b"x"}, tarfile.PAX_FORMAT, change))


@pytest.mark.parametrize(
    "content",
    [
        b"7 a=b\n7 a=c\n",
        b"13 path=a\n",
        b"8 path=a\n",
        b"10 path=a\n" * 2,
        b"0 \n",
        b" 10 path=a\n",
        b"10 path=a",
    ],
)
def test_records_have_one_form(content: bytes) -> None:
    with pytest.raises(BrokenTar):
        parse_pax(content)


def test_what_does_not_end_as_a_tar_does_is_refused() -> None:
    plain = tarred({"a": b"x"})
    assert read(plain[: 2 * BLOCK + 2 * BLOCK]) == {"a": b"x"}
    assert "end" in refused(plain[: 3 * BLOCK])
    assert "cut short" in refused(plain[: 2 * BLOCK])
    assert "end" in refused(plain + b"\0" * 2**20)
    assert "end" in refused(plain[:-1] + b"x")
    assert "cut short" in refused(plain[:BLOCK])


def test_more_bytes_than_allowed_are_refused() -> None:
    with pytest.raises(Refusal, match="more than 5 bytes"):
        open_tar(io.BytesIO(tarred({"a": b"123", "b": b"123"})), max_bytes=5)


def test_members_are_counted_while_they_are_read_and_not_after() -> None:
    class Counted(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            return super().read(size)

    file = Counted(tarred({f"file{index}": b"" for index in range(20_000)}))
    with pytest.raises(Refusal, match="more than 10000"):
        open_tar(file)
    assert file.reads < 10_010
