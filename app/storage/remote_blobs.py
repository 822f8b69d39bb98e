"""Blobs as objects of a bucket, under random keys; a table says which key has which content.

So nothing is copied or renamed once its hash is known, and uploads of the same bytes do not meet: of their keys one
gets the content, the others are removed. Objects are swept row by row (`SqlBlobKeys`): a sweep needs no list of the
bucket, and cannot take what is put again at the same time.
"""

import base64
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from app.storage.bucket import Bucket
from app.storage.plain_file import copy_in
from app.storage.remote_writer import ABANDONED_SECONDS, RemoteWriter
from app.storage.sql_blob_keys import SqlBlobKeys

RANGE_BYTES: Final = 4 * 2**20
"""Of one request of a download, which goes through memory."""
READ_BYTES: Final = 256 * 2**10
"""Of one request of who reads here and there."""
LINK_SECONDS: Final = 300.0
PING: Final = "ping"


class RemoteBlobs:
    """`app.storage.ports.Blobs`, for any number of hosts. With `redirects` downloads come from the bucket itself.

    Raises `StoreAway` where the bucket cannot be reached.
    """

    def __init__(self, bucket: Bucket, keys: SqlBlobKeys, *, redirects: bool = False) -> None:
        self._bucket, self._keys, self._redirects = bucket, keys, redirects

    def writer(self) -> RemoteWriter:
        return RemoteWriter(self._bucket, self._keys)

    def put_file(self, path: Path) -> tuple[str, int]:
        return copy_in(path, self.writer())

    def take_file(self, path: Path, sha256: str) -> None:
        sent, _ = self.put_file(path)
        if sent != sha256:
            raise ValueError(f"{path.name} is not what it was said to be")
        path.unlink()

    def open(self, sha256: str) -> BinaryIO | None:
        stored = self._keys.find(sha256)
        if stored is None:
            return None
        raw: Any = _Reading(self._bucket, stored.key, stored.size)
        return io.BufferedReader(raw, READ_BYTES)

    def size(self, sha256: str) -> int | None:
        stored = self._keys.find(sha256)
        return None if stored is None else stored.size

    def source(self, sha256: str) -> "RemoteObject":
        stored = self._keys.find(sha256)
        if stored is None:
            raise FileNotFoundError(f"no blob {sha256!r}")
        return RemoteObject(self._bucket, self._keys, stored.key, stored.size, self._redirects)

    def sweep(self, live: set[str], older_than: float, *, remove: bool = True) -> Iterator[str]:
        """Also removes what was left by a process that died while it wrote, or while it removed."""
        if remove:
            for key in self._keys.abandoned(min(older_than, time.time() - ABANDONED_SECONDS)):
                self._remove(key)
        for stored in self._keys.older(older_than):
            if stored.sha256 in live or (remove and not self._keys.release(stored, older_than)):
                continue
            if remove:
                self._remove(stored.key)
            yield stored.sha256

    def ping(self) -> None:
        self._bucket.put(PING, b"ping")

    def _remove(self, key: str) -> None:
        self._bucket.remove(key)
        self._keys.forget(key)


@dataclass(frozen=True)
class RemoteObject:
    """`app.storage.ports.RemoteObject`."""

    bucket: Bucket
    keys: SqlBlobKeys
    key: str
    size: int
    redirects: bool

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Each is a request of its own: a reader that is slow holds up no connection."""
        end = self.size if end is None else min(end, self.size)
        for begin in range(start, end, RANGE_BYTES):
            yield self.bucket.read(self.key, begin, min(begin + RANGE_BYTES, end))

    def url(self) -> str | None:
        return self.bucket.url(self.key, LINK_SECONDS) if self.redirects else None

    def block_hashes(self) -> bytes | None:
        kept = self.keys.block_hashes(self.key)
        return None if kept is None else base64.b64decode(kept)

    def keep_block_hashes(self, hashes: bytes) -> None:
        self.keys.keep_block_hashes(self.key, base64.b64encode(hashes).decode())


class _Reading(io.RawIOBase):
    """An object as a file that can seek."""

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        self._bucket, self._key, self._size, self._position = bucket, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        content = self._bucket.read(self._key, self._position, end)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
