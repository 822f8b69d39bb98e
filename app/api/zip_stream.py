"""A zip that is made while it is sent: stored, in constant memory, the same bytes for the same members.

A member's CRC is known once it has been read, so it stands behind it, in a data descriptor.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

DATE: Final = (1980, 1, 1, 0, 0, 0)
HEADER, DESCRIPTOR, ENTRY, END = 30, 16, 46, 22
"""Bytes around each member and at the end, where no zip64 is needed."""
ZIP64_BYTES: Final = 2**30
"""From here on lengths are not told: zip64 records come in between."""


@dataclass(frozen=True)
class ZipMember:
    """`chunks` gives the content, of `size` bytes, each time anew. `sha256` is that of the content."""

    name: str
    size: int
    sha256: str
    chunks: Callable[[], Iterable[bytes]]


def zip_length(members: Sequence[ZipMember]) -> int | None:
    """Bytes of the zip; None where that is not known before."""
    if sum(member.size for member in members) >= ZIP64_BYTES:
        return None
    names = sum(2 * len(member.name.encode()) for member in members)
    around = (HEADER + DESCRIPTOR + ENTRY) * len(members) + END
    return names + around + sum(member.size for member in members)


def zipped(members: Sequence[ZipMember]) -> Iterator[bytes]:
    """The zip, piece by piece."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for member in members:
            entry = zipfile.ZipInfo(member.name, DATE)
            entry.external_attr, entry.file_size = 0o644 << 16, member.size
            with archive.open(entry, "w") as target:
                for chunk in member.chunks():
                    target.write(chunk)
                    yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that cannot seek: what was written waits to be taken."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, chunk: bytes) -> int:
        self._waiting.append(bytes(chunk))
        return len(chunk)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def taken(self) -> bytes:
        waiting, self._waiting = self._waiting, []
        return b"".join(waiting)
