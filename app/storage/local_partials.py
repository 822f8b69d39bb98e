"""Bytes of uploads that come in parts, as files of a local directory: they outlive the service, byte by byte.

    root/upl_…                   what has come so far
    root/upl_….unchecked-4096    all beyond the first 4096 bytes counts only once its checksum is known to be right
    root/upl_….is-ab12…ef        complete: the blob of that SHA-256, or about to become it

The file is the truth about how much there is, and what is told of it was synced first. A name is an id of ours.
Where hosts share no directory, each has the parts that came to it: an upload goes on at the host that it is sent to,
from what is there.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.storage.local_blobs import refusing_when_full, sync_folder
from app.storage.ports import Blobs, Conflict

_UNCHECKED: Final = ".unchecked-"
_IS: Final = ".is-"


class Busy(Conflict):
    """Another request is adding to these bytes."""


class LocalPartials:
    """For any number of threads and processes of one host. What writes raises `Refusal("disk_full")` when there is no
    room, and `OSError` for the rest."""

    def __init__(self, root: Path, blobs: Blobs) -> None:
        self._root, self._blobs = root, blobs

    def size(self, name: str) -> int:
        """How many bytes are there for good."""
        try:
            handle = os.open(self._file(name), os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            made = self._made(name)
            return made[1] if made else 0
        try:
            os.fsync(handle)
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        checked = self._noted(name, _UNCHECKED)
        return size if checked is None else min(size, int(checked))

    def open(self, name: str) -> "Partial":
        """To add to them, from nothing where there are none. `Busy`."""
        self._root.mkdir(parents=True, exist_ok=True)
        with refusing_when_full():
            partial = Partial(self._file(name))
        if partial.size == 0 and self._made(name):  # since a moment ago
            self._file(name).unlink(missing_ok=True)
            partial.release()
            raise Busy(f"{name} has just been completed")
        if partial.size == 0:
            sync_folder(self._root)
        return partial

    def finish(self, name: str) -> tuple[str, int]:
        """Make a blob of them: (sha256, size). Again as long as that is there, in case what followed went wrong.
        `Busy`, and `FileNotFoundError` where there is nothing any more."""
        file = self._file(name)
        try:
            partial = Partial(file, create=False)
        except FileNotFoundError:
            if (made := self._made(name)) is None:
                raise FileNotFoundError(f"nothing has come for {name}") from None
            return made
        try:
            with file.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            self._remove_notes(name)
            (self._root / f"{name}{_IS}{sha256}").touch()
            self._blobs.take_file(file, sha256)
            return sha256, partial.size
        finally:
            partial.release()

    def remove(self, name: str) -> None:
        """Harmless when there is nothing. Who is adding to them does so in vain."""
        self._file(name).unlink(missing_ok=True)
        self._remove_notes(name)

    def sweep(self, older_than: float) -> Iterator[str]:
        """Remove, and name, what got nothing since then and nobody is adding to."""
        for file in self._root.glob("*"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < older_than and not _in_use(file):
                    file.unlink()
                    yield file.name

    def _file(self, name: str) -> Path:
        if not name.isidentifier():
            raise FileNotFoundError(f"{name!r} is no id")
        return self._root / name

    def _made(self, name: str) -> tuple[str, int] | None:
        """The blob that it has become, as long as that is there."""
        sha256 = self._noted(name, _IS)
        size = None if sha256 is None else self._blobs.size(sha256)
        return None if sha256 is None or size is None else (sha256, size)

    def _remove_notes(self, name: str) -> None:
        for note in self._root.glob(f"{name}.*"):
            note.unlink(missing_ok=True)

    def _noted(self, name: str, what: str) -> str | None:
        note = _note(self._file(name), what)
        return None if note is None else _noted(note, what)


class Partial:
    """Bytes that are added to, by one at a time: others get `Busy`. Use from one thread at a time."""

    def __init__(self, file: Path, *, create: bool = True) -> None:
        self._file = file
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        self._handle = os.open(file, flags, 0o600)
        try:
            self._lock()
            self.size = os.fstat(self._handle).st_size
            self._unchecked = _note(file, _UNCHECKED)
            self._drop_unchecked()
        except BaseException:
            self.release()
            raise

    def _lock(self) -> None:
        """And make sure that it is still the file of that name, not a blob or gone."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(self._file.stat(), os.fstat(self._handle)):
                return
        except (BlockingIOError, FileNotFoundError):
            pass
        raise Busy(f"another request adds to {self._file.name}")

    def write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        with refusing_when_full():
            while left:
                written = os.write(self._handle, left)
                self.size += written
                left = left[written:]

    def cut(self, size: int) -> None:
        """Forget what is beyond."""
        os.ftruncate(self._handle, size)
        self.size = size

    def doubt(self) -> None:
        """What comes from now on counts only when `trust` is called before it is closed, whatever ends this process."""
        self._unchecked = self._file.with_name(f"{self._file.name}{_UNCHECKED}{self.size}")
        self._unchecked.touch()
        sync_folder(self._file.parent)

    def trust(self) -> None:
        if self._unchecked is not None:
            os.fsync(self._handle)
            self._unchecked.unlink(missing_ok=True)
            self._unchecked = None

    def close(self) -> int:
        """Make them last; how many they are."""
        try:
            self._drop_unchecked()
            with refusing_when_full():
                os.fsync(self._handle)
            return self.size
        finally:
            self.release()

    def release(self) -> None:
        """Let others add to them; harmless after `close`."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _drop_unchecked(self) -> None:
        if self._unchecked is not None:
            self.cut(min(self.size, int(_noted(self._unchecked, _UNCHECKED))))
            self._unchecked.unlink(missing_ok=True)
            self._unchecked = None


def _note(file: Path, what: str) -> Path | None:
    return next(file.parent.glob(f"{file.name}{what}*"), None)


def _noted(note: Path, what: str) -> str:
    return note.name.partition(what)[2]


def _in_use(file: Path) -> bool:
    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
