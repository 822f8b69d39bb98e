"""The names in a zip or tar that nobody vouches for, without unpacking a byte."""

import os
import struct
import tarfile
import zipfile
from typing import IO, BinaryIO, Final, cast

from app.contract.errors import Refusal

MAX_MEMBERS: Final = 10_000
MAX_READ: Final = 8 * 2**20


class Bounded:
    """A file that is never read much at a time.

    zipfile reads the whole directory, and tarfile a whole extended header, at whatever length the archive claims.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        file.seek(0)

    def read(self, length: int | None = -1) -> bytes:
        left = max(0, self._size - self._file.tell())
        length = left if length is None or length < 0 else min(length, left)
        if length > MAX_READ:
            raise _unsafe(f"its directory has more than {MAX_READ} bytes")
        return self._file.read(length)


def zip_names(file: BinaryIO) -> list[str]:
    """Raises `unknown_format` for what cannot be read, `unsafe_archive` for links, absolute paths, `..`, too many."""
    try:
        with zipfile.ZipFile(cast(IO[bytes], Bounded(file))) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise _unreadable("zip", error) from error
    if any((member.external_attr >> 16) & 0o170000 == 0o120000 for member in members):
        raise _unsafe("it has a symbolic link")
    return _checked([member.filename for member in members if not member.filename.endswith("/")])


def tar_names(file: BinaryIO) -> list[str]:
    """As `zip_names`. Only headers are read; the archive must not be compressed."""
    names: list[str] = []
    try:
        with tarfile.open(fileobj=cast(IO[bytes], Bounded(file)), mode="r:") as archive:
            for count, member in enumerate(archive, 1):
                if count > MAX_MEMBERS:
                    raise _too_many()
                if not (member.isfile() or member.isdir()):
                    raise _unsafe(f"{member.name[:80]!r} is a link or a device")
                names += [member.name] if member.isfile() else []
    except (tarfile.TarError, ValueError, OSError, EOFError, RecursionError) as error:
        raise _unreadable("tar", error) from error
    return _checked(names)


def _checked(names: list[str]) -> list[str]:
    if len(names) > MAX_MEMBERS:
        raise _too_many()
    for name in names:
        if not name:
            raise _unsafe("a file in it has no name")
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise _unsafe(f"{name[:80]!r} leads out of it")
    return names


def _too_many() -> Refusal:
    return _unsafe(f"it has more than {MAX_MEMBERS} files")


def _unsafe(why: str) -> Refusal:
    return Refusal("unsafe_archive", f"The archive is refused: {why}. Pack plain files, side by side.")


def _unreadable(kind: str, why: object) -> Refusal:
    return Refusal(
        "unknown_format", f"The file begins like a {kind} archive, but cannot be read as one ({why})."
    )
