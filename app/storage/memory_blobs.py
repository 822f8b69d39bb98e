"""Blobs in this process's memory; `source` lends them to a temporary folder. For tests."""

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Lock
from typing import BinaryIO
from weakref import finalize

from app.storage.plain_file import copy_in

Keep = Callable[[str, bytes], None]


class MemoryBlobs:
    """`app.storage.ports.Blobs`, thread-safe, gone with the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._content: dict[str, bytes] = {}
        self._written: dict[str, float] = {}
        self._lent = Path(mkdtemp(prefix="winnow-blobs-"))
        finalize(self, rmtree, self._lent, ignore_errors=True)

    def writer(self) -> "MemoryWriter":
        return MemoryWriter(self._keep)

    def put_file(self, path: Path) -> tuple[str, int]:
        return copy_in(path, self.writer())

    def take_file(self, path: Path, sha256: str) -> None:
        self.put_file(path)
        path.unlink()

    def open(self, sha256: str) -> BinaryIO | None:
        content = self._content.get(sha256)
        return None if content is None else io.BytesIO(content)

    def size(self, sha256: str) -> int | None:
        content = self._content.get(sha256)
        return None if content is None else len(content)

    def source(self, sha256: str) -> Path:
        with self._lock:
            if sha256 not in self._content:
                raise FileNotFoundError(f"no blob {sha256}")
            lent = self._lent / sha256
            if not lent.exists():
                lent.write_bytes(self._content[sha256])
                lent.chmod(0o440)
            return lent

    def sweep(self, live: set[str], older_than: float, *, remove: bool = True) -> Iterator[str]:
        goes = self._forget if remove else self._written_before
        for sha256 in self._content.keys() - live:
            if goes(sha256, older_than):
                yield sha256

    def ping(self) -> None:
        pass

    def _keep(self, sha256: str, content: bytes) -> None:
        with self._lock:
            self._content[sha256] = content
            self._written[sha256] = time.time()

    def _written_before(self, sha256: str, when: float) -> bool:
        return self._written.get(sha256, when) < when

    def _forget(self, sha256: str, older_than: float) -> bool:
        with self._lock:
            if not self._written_before(sha256, older_than):
                return False
            del self._content[sha256], self._written[sha256]
            (self._lent / sha256).unlink(missing_ok=True)
            return True


class MemoryWriter:
    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._bytes = io.BytesIO()
        self._hash = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self._bytes.write(chunk)
        self._hash.update(chunk)

    def waits(self) -> bool:
        return False

    def digest(self) -> str:
        return self._hash.hexdigest()

    def commit(self) -> tuple[str, int]:
        content = self._bytes.getvalue()
        self._keep(self.digest(), content)
        self._bytes.close()
        return self.digest(), len(content)

    def abort(self) -> None:
        self._bytes.close()
