"""Blobs as files of one local directory, named by their content.

    root/00/ … root/ff/      there from the start, so that no first blob of a folder takes longer than others
    root/ab/ab12…ef          a blob: read-only, one link, the name is its SHA-256
    root/ab/ab12…ef.….again  the same once more: keeps the blob from a sweep, and goes with the next one
    root/incoming/           on the way in; renamed when complete and on the disk
    root/incoming/.lock      held while a name comes or goes

The lock is why a blob that is put again cannot be lost to a sweep that has just found it old. It is an
`flock`, so the directory has to be local (or a file system with working locks).
"""

import errno
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from app.storage.plain_file import copy_in, open_plain
from winnow.contract.errors import Refusal

BUFFER_BYTES: Final = 2**20
MIN_FREE_BYTES: Final = 2**20
"""A disk with less room than this counts as full: the smallest files may still fit."""
AGAIN: Final = ".again"
_DIGEST: Final = re.compile("[0-9a-f]{64}")


class LocalBlobs:
    """`app.storage.ports.Blobs`, for any number of threads and processes of one host.

    Whatever writes raises `Refusal("disk_full")` when there is no room, and `OSError` for the rest.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        for folder in (self._incoming, *(root / f"{number:02x}" for number in range(256))):
            folder.mkdir(parents=True, exist_ok=True)
        sync_folder(root)

    def writer(self) -> "LocalWriter":
        with refusing_when_full():
            return LocalWriter(self)

    def put_file(self, path: Path) -> tuple[str, int]:
        """A copy and not a link: what has two links could be changed behind our back."""
        return copy_in(path, self.writer())

    def take_file(self, path: Path, sha256: str) -> None:
        """Moved, where it lies on the same file system; else copied."""
        with open_plain(path) as source, refusing_when_full():
            os.fchmod(source.fileno(), 0o440)
            os.fsync(source.fileno())
        try:
            self.keep(path, sha256)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.put_file(path)
            path.unlink()

    def open(self, sha256: str) -> BinaryIO | None:
        try:
            return self._file(sha256).open("rb")
        except FileNotFoundError:
            return None

    def size(self, sha256: str) -> int | None:
        try:
            return self._file(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def source(self, sha256: str) -> Path:
        file = self._file(sha256)
        file.stat()
        return file

    def sweep(self, live: set[str], older_than: float, *, remove: bool = True) -> Iterator[str]:
        """Also removes what was left in `incoming` by a process that died."""
        if remove:
            self._clear(older_than)
        goes = self._forget if remove else _written_before
        for file in self._root.glob("[0-9a-f][0-9a-f]/*"):
            if _DIGEST.fullmatch(file.name) and file.name not in live and goes(file, older_than):
                yield file.name

    def ping(self) -> None:
        space = os.statvfs(self._incoming)
        if space.f_bavail * space.f_frsize < MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with tempfile.NamedTemporaryFile(dir=self._incoming, suffix=".part") as file:
            file.write(b"ping")

    def keep(self, part: Path, sha256: str) -> None:
        """Give a complete file its name. Content that is there already is kept once more until the next sweep, which is
        as much work: the time it takes tells nobody whether somebody else has it."""
        file = self._file(sha256)
        again = file.with_name(f"{sha256}.{part.stem}{AGAIN}")
        with self._lock():
            file.parent.mkdir(exist_ok=True)
            part.rename(again if file.exists() else file)
            for folder in (file.parent, self._root):
                sync_folder(folder)

    @property
    def incoming(self) -> Path:
        return self._incoming

    def _file(self, sha256: str) -> Path:
        if not _DIGEST.fullmatch(sha256):
            raise FileNotFoundError(f"{sha256!r} is no SHA-256")
        return self._root / sha256[:2] / sha256

    def _forget(self, file: Path, older_than: float) -> bool:
        with self._lock():
            if not _written_before(file, older_than) or any(file.parent.glob(f"{file.name}.*{AGAIN}")):
                return False
            file.unlink(missing_ok=True)
            return True

    def _clear(self, older_than: float) -> None:
        """Of what is no blob: what nobody goes on writing, and what came once more."""
        for left in self._incoming.glob("*.part"):
            if _written_before(left, older_than) and not _in_use(left):
                left.unlink(missing_ok=True)
        for again in self._root.glob(f"[0-9a-f][0-9a-f]/*{AGAIN}"):
            self._merge(again)

    def _merge(self, again: Path) -> None:
        """What came once more goes, and what it is the same as is as young as that was."""
        with self._lock(), suppress(FileNotFoundError):
            written = again.stat().st_mtime
            os.utime(again.with_name(again.name.partition(".")[0]), (written, written))
            again.unlink()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._incoming / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class LocalWriter:
    """`app.storage.ports.BlobWriter`: hashes while it writes. Use from one thread at a time."""

    def __init__(self, blobs: LocalBlobs) -> None:
        self._blobs = blobs
        handle, name = tempfile.mkstemp(dir=blobs.incoming, suffix=".part")
        fcntl.flock(handle, fcntl.LOCK_EX)  # however slowly it comes in, no sweep takes it for abandoned
        self._file = os.fdopen(handle, "wb", buffering=BUFFER_BYTES)
        self._part = Path(name)
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        with refusing_when_full():
            self._file.write(chunk)
        self._hash.update(chunk)
        self._size += len(chunk)

    def waits(self) -> bool:
        return False

    def digest(self) -> str:
        return self._hash.hexdigest()

    def commit(self) -> tuple[str, int]:
        with refusing_when_full():
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o440)
            os.fsync(self._file.fileno())
            self._blobs.keep(self._part, self.digest())
        self._file.close()
        return self.digest(), self._size

    def abort(self) -> None:
        with suppress(OSError):  # what could not be written out is not wanted any more
            self._file.close()
        self._part.unlink(missing_ok=True)


@contextmanager
def refusing_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        detail = "The service's disk has no room left for these bytes. Try again later, or tell its operator."
        raise Refusal("disk_full", detail) from error


def _written_before(file: Path, when: float) -> bool:
    try:
        return file.stat().st_mtime < when
    except FileNotFoundError:
        return False


def _in_use(part: Path) -> bool:
    """Whether a living process has it open as a `LocalWriter`."""
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
