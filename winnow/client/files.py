"""Local files: hashed, streamed out, and written so that a half-finished download never looks finished."""

import base64
import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from winnow.client.errors import UnusableFile

CHUNK: Final = 1 << 20

OnProgress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


class FileBody:
    """A file as a request body: iterating reads it once from the start, so a request can be sent again.

    Raises `UnusableFile` when it is missing, empty, no plain file, unreadable, or changes while it is read.
    """

    def __init__(self, path: Path, on_progress: OnProgress | None = None) -> None:
        self.path, self._on_progress = path, on_progress
        self.sha256, self.size = _identity(path)

    @property
    def headers(self) -> dict[str, str]:
        """Of a request whose body is the file alone."""
        return {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(self.size),
            "Content-Digest": self.content_digest,
        }

    @property
    def content_digest(self) -> str:
        """RFC 9530."""
        return f"sha-256=:{base64.b64encode(bytes.fromhex(self.sha256)).decode()}:"

    @contextmanager
    def counted(self) -> Iterator["CountedFile"]:
        """The same as an open file, for a multipart form."""
        try:
            with self.path.open("rb") as file:
                yield CountedFile(file, self.size, self._on_progress)
        except OSError as error:
            raise UnusableFile(f"{self.path} cannot be read: {error.strerror or error}") from error

    def __iter__(self) -> Iterator[bytes]:
        return self.since(0)

    def since(self, offset: int) -> Iterator[bytes]:
        """All from this byte on."""
        done = offset
        for chunk in chunks_of(self.path, offset):
            done += len(chunk)
            if done > self.size:
                break
            yield chunk
            if self._on_progress is not None:
                self._on_progress(done, self.size)
        if done != self.size:
            raise UnusableFile(f"{self.path} changed while it was sent; try again when it is complete")


class CountedFile:
    """What httpx needs of a file (its length comes from `fileno`), telling how far it was read."""

    def __init__(self, file: BinaryIO, size: int, on_progress: OnProgress | None) -> None:
        self._file, self._size, self._on_progress = file, size, on_progress
        self.fileno, self.seek, self.tell = file.fileno, file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        chunk = self._file.read(count)
        if self._on_progress is not None:
            self._on_progress(self._file.tell(), self._size)
        return chunk


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in chunks_of(path):
        digest.update(chunk)
    return digest.hexdigest()


def chunks_of(path: Path, offset: int = 0) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {error.strerror or error}") from error


def _identity(path: Path) -> tuple[str, int]:
    check_readable(path)
    return sha256_of(path), path.stat().st_size


def check_readable(path: Path) -> None:
    """Raises UnusableFile for what is missing, empty, no plain file, or not permitted."""
    if not path.is_file():
        raise UnusableFile(f"{path} is a folder, not a file" if path.is_dir() else f"there is no file {path}")
    if path.stat().st_size == 0:
        raise UnusableFile(f"{path} is empty")
    if not os.access(path, os.R_OK):
        raise UnusableFile(f"{path} cannot be read: this user may not read it")


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A file beside the target, which takes its name when all went well. Raises `UnusableFile`."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(target)
    except OSError as error:
        raise UnusableFile(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def is_package(path: Path) -> bool:
    """Whether it is an archive of several `.onnx`; False for what cannot be read."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                names = tar.getnames()
        else:
            return False
    except (OSError, zipfile.BadZipFile, tarfile.TarError, ValueError):
        return False
    return sum(name.lower().endswith(".onnx") and not _is_litter(name) for name in names) > 1


def _is_litter(name: str) -> bool:
    """Whether macOS added it to the archive."""
    return "__MACOSX" in name.split("/") or name.rpartition("/")[2].startswith("._")
