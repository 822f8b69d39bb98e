"""Bytes on their way into a bucket, through a thread: whoever writes waits only when the bucket is slower.

In memory are at most a slice that is being filled, one that is handed on, and the part that takes it or is under way:

    ½ MiB + ½ MiB + 5 MiB
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.storage.bucket import Bucket, Multipart
from app.storage.sql_blob_keys import SqlBlobKeys, Swept

SLICE_BYTES: Final = 128 * 2**10
"""What is smaller is written in one request, when it is complete."""
MAX_SLICE_BYTES: Final = 4 * SLICE_BYTES
"""Beyond that a slice waits for the one before to be sent. Larger by more than what a connection gives at a time."""
TOUCH_SECONDS: Final = 300.0
"""How often the row of bytes that come in slowly is told that they do."""
ABANDONED_SECONDS: Final = 3600.0
"""Who has not said so for that long is dead."""


class RemoteWriter:
    """`app.storage.ports.BlobWriter`: hashes while it writes. Use from one thread at a time."""

    def __init__(self, bucket: Bucket, keys: SqlBlobKeys) -> None:
        self._bucket, self._keys, self._key = bucket, keys, secrets.token_hex(16)
        self._slice, self._size, self._hash = bytearray(), 0, hashlib.sha256()
        self._thread: ThreadPoolExecutor | None = None
        self._sending: Future[None] | None = None
        self._parts: Multipart | None = None
        self._begun = self._over = False
        self._touched_at = time.monotonic()

    def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._size += len(chunk)
        self._slice += chunk
        full = MAX_SLICE_BYTES if self._is_sending() else SLICE_BYTES
        if len(self._slice) >= full:
            self._send(bytes(self._slice))
            self._slice.clear()
        elif time.monotonic() > self._touched_at + TOUCH_SECONDS and not self._is_sending():
            self._submit(self._touch)

    def waits(self) -> bool:
        return len(self._slice) >= SLICE_BYTES and self._is_sending()

    def digest(self) -> str:
        return self._hash.hexdigest()

    def commit(self) -> tuple[str, int]:
        self._settle()
        if self._parts is None:
            self._begin()
            self._bucket.put(self._key, bytes(self._slice))
        else:
            self._parts.write(bytes(self._slice))
            self._parts.complete()
        self._over = True
        self._close()
        self._keep()
        return self.digest(), self._size

    def abort(self) -> None:
        """What the bucket or the database does not take now, a sweep removes."""
        if not self._over:
            self._over = True
            with suppress(OSError, SQLAlchemyError):
                self._settle()
            with suppress(OSError, SQLAlchemyError):
                if self._parts is not None:
                    self._parts.abort()
            with suppress(OSError, SQLAlchemyError):
                if self._begun:
                    self._remove()
        self._close()

    def _keep(self) -> None:
        try:
            if self._keys.keep(self._key, self.digest(), self._size, time.time()):
                return
        except Swept:
            with suppress(OSError):
                self._bucket.remove(self._key)
            raise
        with suppress(OSError, SQLAlchemyError):  # the next sweep tries again
            self._remove()

    def _remove(self) -> None:
        self._bucket.remove(self._key)
        self._keys.forget(self._key)

    def _is_sending(self) -> bool:
        return self._sending is not None and not self._sending.done()

    def _send(self, content: bytes) -> None:
        self._submit(lambda: self._upload(content))

    def _submit(self, work: Callable[[], None]) -> None:
        """Have the thread do it, after what it does now. Raises what that raised."""
        self._settle()
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._sending = self._thread.submit(work)

    def _settle(self) -> None:
        if self._sending is not None:
            sending, self._sending = self._sending, None
            sending.result()

    def _upload(self, content: bytes) -> None:
        if self._parts is None:
            self._begin()
            self._parts = self._bucket.begin(self._key)
        elif time.monotonic() > self._touched_at + TOUCH_SECONDS:
            self._touch()
        self._parts.write(content)

    def _begin(self) -> None:
        if not self._begun:
            self._keys.begin(self._key, time.time())
            self._begun, self._touched_at = True, time.monotonic()

    def _touch(self) -> None:
        self._begin()
        self._keys.touch(self._key, time.time())
        self._touched_at = time.monotonic()

    def _close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
