"""An open tar: its files by name, and their contents."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from winnow.contract.strict_tar.header import BLOCK, BrokenTar, Header, parse_header
from winnow.contract.strict_tar.pax import MAX_PAX_BYTES, parse_pax, parse_size
from winnow.contract.strict_zip.names import MAX_NAME_BYTES, check_distinct, check_name, unsafe

MAX_MEMBERS: Final = 10_000
MAX_PADDING: Final = 2**20
"""Of zeros behind the last member; tar writes up to 10 KiB."""

FILE, FOLDER, PAX, GLOBAL_PAX, LONG_NAME = b"0", b"5", b"x", b"g", b"L"


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member; `offset` is where its bytes begin in the file. A folder's name ends with `/`."""

    name: str
    size_bytes: int
    offset: int


@dataclass(frozen=True)
class TarArchive:
    """`members` are the files (no folders) by name, in the order in which they lie. The caller closes `file`."""

    file: BinaryIO
    members: dict[str, TarMember]

    def chunks(self, name: str, size: int = 2**20) -> Iterator[bytes]:
        """The content, piece by piece. Raises `KeyError`, and `BrokenTar` where the file has become shorter."""
        at, left = self.members[name].offset, self.members[name].size_bytes
        while left:
            self.file.seek(at)
            chunk = self.file.read(min(size, left))
            if not chunk:
                raise BrokenTar("it was cut short")
            yield chunk
            at, left = at + len(chunk), left - len(chunk)


def open_tar(
    file: BinaryIO, *, max_bytes: int | None = None, max_members: int = MAX_MEMBERS, ignore_case: bool = True
) -> TarArchive:
    """The archive in a file that nobody vouches for, read by its headers.

    `max_bytes` bounds what all members have together; with `ignore_case`, names that differ only by case stand twice.
    Raises `BrokenTar`; `Refusal` `unsafe_archive` for names that lead elsewhere or stand twice, links and special
    files, too many members, too many bytes.
    """
    members = list(_members(file, file.seek(0, os.SEEK_END), max_members))
    for member in members:
        check_name(member.name)
    check_distinct((member.name for member in members), ignore_case=ignore_case)
    if max_bytes is not None and sum(member.size_bytes for member in members) > max_bytes:
        raise unsafe(f"its members have more than {max_bytes} bytes together")
    return TarArchive(file, {member.name: member for member in members if not member.name.endswith("/")})


def _members(file: BinaryIO, size: int, max_members: int) -> Iterator[TarMember]:
    at, more = 0, dict[str, str]()
    for _ in range(max_members + 1):
        block = _read(file, at, BLOCK)
        if not any(block):
            return _check_end(file, at, size, more)
        header = parse_header(block)
        length = _length(header, more)
        start, at = at + BLOCK, at + BLOCK + -(-length // BLOCK) * BLOCK
        if at > size:
            raise BrokenTar("it was cut short")
        if header.kind in (FILE, FOLDER):
            yield from _member(header, more, start, length)
            more = {}
        else:
            more = more | _more(header, _read(file, start, min(length, MAX_PAX_BYTES + 1)), more)
    raise unsafe(f"it has more than {max_members} members")


def _length(header: Header, more: dict[str, str]) -> int:
    """In bytes. What pax says of it is for the file behind it, whose own header then has the same or, as tar writes
    what it has no room for, 0: readers differ in what they believe."""
    if "size" not in more:
        return header.size_bytes
    length = parse_size(more["size"])
    if header.kind != FILE or header.size_bytes not in (0, length):
        raise BrokenTar("a member has two sizes")
    return length


def _member(header: Header, more: dict[str, str], start: int, length: int) -> Iterator[TarMember]:
    """The member, unless it is the folder that all others lie in."""
    name = (more["path"] if "path" in more else _decoded(header.name)).removeprefix("./")
    if header.kind == FOLDER:
        name = name.removesuffix("/") + "/"
        if length:
            raise BrokenTar(f"the folder {name[:80]!r} has a content")
    elif name.endswith("/"):
        raise unsafe(f"{name[:80]!r} is a file with the name of a folder")
    if len(name) > MAX_NAME_BYTES:
        raise unsafe(f"a file in it has a name of more than {MAX_NAME_BYTES} characters")
    if name != "/" or header.kind != FOLDER:
        yield TarMember(name, length, start)


def _more(header: Header, content: bytes, known: dict[str, str]) -> dict[str, str]:
    """What a header says of the member behind it, once."""
    if header.kind not in (PAX, GLOBAL_PAX, LONG_NAME):
        raise unsafe(f"{_decoded(header.name)[:80]!r} is a link, a sparse or a special file")
    if len(content) > MAX_PAX_BYTES:
        raise unsafe(f"an extended header in it has more than {MAX_PAX_BYTES} bytes")
    told = {"path": _decoded(content.removesuffix(b"\0"))} if header.kind == LONG_NAME else parse_pax(content)
    if told and (header.kind == GLOBAL_PAX or not told.keys().isdisjoint(known)):
        raise BrokenTar("the name or size of a member stands in it more than once")
    return told


def _check_end(file: BinaryIO, at: int, size: int, more: dict[str, str]) -> None:
    """Behind the last member are zeros, two blocks at least."""
    if more or not 2 * BLOCK <= size - at <= MAX_PADDING:
        raise BrokenTar("it does not end as a tar does: cut short, or followed by something else")
    if any(_read(file, at, size - at)):
        raise BrokenTar("it has something behind its end")


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise unsafe(f"{name[:80].decode('utf-8', 'replace')!r} has a name that is no UTF-8") from None


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    content = file.read(length)
    if len(content) != length:
        raise BrokenTar("it was cut short")
    return content
