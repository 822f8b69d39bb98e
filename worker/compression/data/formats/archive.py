"""Open a zip or tar as its members by name and number; each is read where it lies, when it is needed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
import numpy.typing as npt

from winnow.contract.errors import Refusal
from winnow.contract.strict_tar import BrokenTar, open_tar
from winnow.contract.strict_zip import BrokenZip, Member, MemberStream, open_zip
from worker.compression.data.formats.archive_index import read_index
from worker.compression.data.ranges.ranged import opened

MAX_MEMBERS: Final = 1_000_000
MAX_MEMBER_BYTES: Final = 400 * 2**20
"""A picture of 64 megapixels, three channels of 16 bits, uncompressed."""
CHUNK: Final = 2**20


class Located(Protocol):
    """A member and where its bytes begin, as the readers of zip and tar tell of it."""

    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def offset(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Archive:
    """`names` are the files, in ascending order; contents are read by their number there, by any thread.

    `places` has a row for each: offset, bytes packed, bytes unpacked, CRC, whether deflated (-1 in a tar: as it is).
    """

    path: Path
    names: Sequence[str]
    places: npt.NDArray[np.int64]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The members' numbers by name."""
        return {name: number for number, name in enumerate(self.names)}

    def named(self, name: str, *, limit: int) -> bytes:
        """As `content`, by name."""
        return self.content(self.numbers[name], limit=limit)

    def content(self, number: int, *, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """The whole content. Raises `Refusal` `unsafe_archive` above `limit` bytes, `invalid_dataset`."""
        name, size = self.names[number], int(self.places[number][2])
        if size > limit:
            raise Refusal(
                "unsafe_archive",
                f"{name[:80]!r} of the archive has {size} bytes, more than {limit}. Leave it out, or split it.",
            )
        return b"".join(self.chunks(number, size))

    def chunks(self, number: int, size: int = CHUNK) -> Iterator[bytes]:
        """The content, `size` bytes at a time. Raises `Refusal` `invalid_dataset`."""
        offset, packed, unpacked, crc, deflated = map(int, self.places[number])
        name = self.names[number]
        with opened(self.path, buffering=0) as file:
            if deflated < 0:
                yield from _stored(file, name, offset, unpacked, size)
            else:
                yield from _unpacked(file, Member(name, unpacked, packed, crc, bool(deflated), offset), size)


def open_archive(path: Path, *, max_bytes: int) -> Archive:
    """Read the names of a zip or tar, without unpacking a byte; a file that was read before is not read again.

    Raises `Refusal` `unsafe_archive`, `invalid_dataset`.
    """
    facts = path.stat()
    return _opened(path, facts.st_size, facts.st_mtime_ns, max_bytes)


@lru_cache(maxsize=4)
def _opened(path: Path, _size: int, _changed_ns: int, max_bytes: int) -> Archive:
    bounds: dict[str, Any] = {"max_bytes": max_bytes, "max_members": MAX_MEMBERS, "ignore_case": False}
    if (known := read_index(path)) is not None:
        return Archive(path, *known)
    try:
        with opened(path) as file:
            if file.read(2) == b"PK":
                return _archive(path, open_zip(file, **bounds).members.values(), _of_zip)
            return _archive(path, open_tar(file, **bounds).members.values(), _of_tar)
    except (BrokenZip, BrokenTar) as error:
        raise Refusal(
            "invalid_dataset",
            f"The archive cannot be read as a zip or tar ({error}). Pack it again and upload it whole.",
        ) from error


def _archive(path: Path, members: Iterable[Any], place: Any) -> Archive:
    ordered = sorted((m for m in members if not is_hidden(m.name)), key=lambda member: member.name)
    places = np.array([place(member) for member in ordered], np.int64).reshape(-1, 5)
    return Archive(path, [member.name for member in ordered], places)


def is_hidden(name: str) -> bool:
    """Whether it is what systems put beside people's files: `.DS_Store`, `__MACOSX/…`, `Thumbs.db`."""
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1] == "Thumbs.db" or any(part.startswith(".") for part in parts)


def _of_zip(member: Member) -> tuple[int, int, int, int, int]:
    return member.offset, member.packed_bytes, member.size_bytes, member.crc32, int(member.deflated)


def _of_tar(member: Located) -> tuple[int, int, int, int, int]:
    return member.offset, member.size_bytes, member.size_bytes, 0, -1


def _stored(file: BinaryIO, name: str, offset: int, rest: int, size: int) -> Iterator[bytes]:
    file.seek(offset)
    while rest:
        part = file.read(min(rest, size))
        if not part:
            raise _damaged(f"{name[:80]!r} was cut short")
        rest -= len(part)
        yield part


def _unpacked(file: BinaryIO, member: Member, size: int) -> Iterator[bytes]:
    stream = MemberStream(file, member)
    try:
        while part := stream.read(size):
            yield part
    except BrokenZip as error:
        raise _damaged(str(error)) from error


def _damaged(why: str) -> Refusal:
    return Refusal("invalid_dataset", f"The archive is damaged: {why}. Upload it again.")
