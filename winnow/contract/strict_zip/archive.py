"""An open archive: its files by name, and their contents within bounds."""

import os
from dataclasses import dataclass
from typing import BinaryIO, Final

from winnow.contract.strict_zip.directory import Member, read_members
from winnow.contract.strict_zip.end_record import BrokenZip
from winnow.contract.strict_zip.names import check_distinct, check_name, unsafe
from winnow.contract.strict_zip.stream import CHUNK, MemberStream

MAX_MEMBERS: Final = 10_000
MAX_RATIO: Final = 100
"""Of a whole archive: one member of honest labels may be packed 500 to 1."""
ANY_RATIO_BYTES: Final = 2**20
"""So much any archive may unpack to: a small one of zeros is no bomb."""


@dataclass(frozen=True)
class ZipArchive:
    """`members` are the files (no folders) by name, in the order in which they lie. The caller closes `file`."""

    file: BinaryIO
    members: dict[str, Member]

    def stream(self, name: str) -> MemberStream:
        """The content, to be read forward. Raises `KeyError`; reading raises `BrokenZip`."""
        return MemberStream(self.file, self.members[name])

    def read(self, name: str, *, limit: int) -> bytes:
        """The whole content. Raises `KeyError`, `BrokenZip`, and `Refusal` `unsafe_archive` above `limit` bytes."""
        if self.members[name].size_bytes > limit:
            raise unsafe(f"{name[:80]!r} unpacks to more than {limit} bytes")
        stream = self.stream(name)
        return b"".join(iter(lambda: stream.read(CHUNK), b""))


def open_zip(
    file: BinaryIO, *, max_bytes: int | None = None, max_members: int = MAX_MEMBERS, ignore_case: bool = True
) -> ZipArchive:
    """The archive in a file that nobody vouches for, read without unpacking a byte.

    `max_bytes` bounds what all members unpack to; with `ignore_case`, names that differ only by case stand twice.
    Raises `BrokenZip`; `Refusal` `unsafe_archive` for names, links, encryption, and what unpacks to more than
    `MAX_RATIO` times the file's size (and `ANY_RATIO_BYTES`) or `max_bytes`.
    """
    members = read_members(file, max_members=max_members)
    for member in members:
        check_name(member.name)
    check_distinct((member.name for member in members), ignore_case=ignore_case)
    _check_sizes(members, file.seek(0, os.SEEK_END), max_bytes)
    return ZipArchive(file, {member.name: member for member in members if not member.is_folder})


def _check_sizes(members: list[Member], size: int, max_bytes: int | None) -> None:
    unpacked = sum(member.size_bytes for member in members)
    allowed = max(MAX_RATIO * size, ANY_RATIO_BYTES)
    if max_bytes is not None:
        allowed = min(allowed, max_bytes)
    if unpacked > allowed:
        raise unsafe(
            f"its {size} bytes unpack to {unpacked}; allowed are {allowed} ({MAX_RATIO} times its size, or what any "
            "archive may unpack to)"
        )
    if full := [member.name for member in members if member.is_folder and member.size_bytes]:
        raise BrokenZip(f"the folder {full[0][:80]!r} has a content")
