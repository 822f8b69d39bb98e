"""Lines through pipes to a process that is not trusted: it may write without end, or never read."""

import os
from itertools import islice
from typing import IO

CHUNK_BYTES, MOST_CHUNKS = 2**16, 32


class Lines:
    """Whole lines from a pipe. Of a line that is too long, the beginning is dropped."""

    def __init__(self, pipe: IO[bytes], limit: int) -> None:
        self._descriptor, self._limit, self._rest = pipe.fileno(), limit, b""
        os.set_blocking(self._descriptor, False)
        self.closed = False

    def read(self) -> list[bytes]:
        """What has come so far, or a part of it: whoever writes without end must not keep us here."""
        came = b"".join(islice(iter(self._chunk, b""), MOST_CHUNKS))
        *lines, self._rest = (self._rest + came).split(b"\n")
        self._rest = self._rest[-self._limit :]
        return lines

    def _chunk(self) -> bytes:
        try:
            chunk = os.read(self._descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return b""
        self.closed = not chunk
        return chunk


class Outgoing:
    """What is still to be written to a pipe, as far as the other side reads it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._descriptor, self._waiting = pipe.fileno(), memoryview(b"")
        os.set_blocking(self._descriptor, False)

    @property
    def waiting(self) -> bool:
        return len(self._waiting) > 0

    def add(self, line: bytes) -> None:
        self._waiting = memoryview(bytes(self._waiting) + line + b"\n")

    def keep_alive(self) -> None:
        """Say that we are still there, by an empty line, if the other side reads."""
        if not self.waiting:
            self.add(b"")
            self.write()

    def write(self) -> None:
        """As much as there is room for. A pipe that nobody reads any more takes it all."""
        try:
            self._waiting = self._waiting[os.write(self._descriptor, self._waiting) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._waiting = memoryview(b"")
