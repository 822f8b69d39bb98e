"""A dataset of which not all is here: a folder in the place of a file, and who is asked for what is lacking.

    <SHA-256>….ranges/content   as long as the whole; what was not asked for is a hole
    <SHA-256>….ranges/index     where the members of an archive lie, as inspection found them; not of every dataset

Whoever opens such a path as if it were a file fails, and does not read zeros: only what asks for all that it reads goes
by these functions, which take files as well.
"""

import io
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final, cast

SUFFIX: Final = ".ranges"
CONTENT: Final = "content"
INDEX: Final = "index"
BLOCK_BYTES: Final = 2**18
"""What is fetched, and verified, as a whole."""
MAX_AHEAD: Final = 32
"""Blocks that are asked for at a time while a file is read from front to back."""
MAX_ASKED_BYTES: Final = 128 * BLOCK_BYTES
"""At a time, so that who waits can be stopped."""

Fetch = Callable[[Path, int, int], None]
"""(path, start, end): return when these bytes are there. Raises `Refusal`."""
_asked: list[Fetch] = []


def ask(fetch: Fetch) -> None:
    """Have what is lacking fetched by this from now on, in the whole process."""
    _asked[:] = [fetch]


def is_ranged(path: Path) -> bool:
    return path.suffix == SUFFIX and path.is_dir()


def known_sha256(path: Path) -> str | None:
    """The hash of the whole, which is not here to be computed; None of a file."""
    return path.name[:64] if is_ranged(path) else None


def opened(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a dataset for reading. `buffering` is 0 or as `open` has it by itself."""
    if not is_ranged(path):
        return path.open("rb", buffering=buffering)
    raw = RangedFile(ranges_of(path))
    ranged: Any = raw if buffering == 0 else io.BufferedReader(raw)
    return cast(BinaryIO, ranged)


def size_of(path: Path) -> int:
    """Bytes of the whole."""
    return ranges_of(path).size if is_ranged(path) else path.stat().st_size


def whole(path: Path) -> Path:
    """Return a file with all of the dataset, for what cannot say what it will read."""
    if not is_ranged(path):
        return path
    ranges = ranges_of(path)
    ranges.need(0, ranges.size)
    return ranges.file


class Ranges:
    """What this process knows to be here of one dataset. For any thread."""

    def __init__(self, path: Path) -> None:
        self._path, self.file = path, path / CONTENT
        self.size = self.file.stat().st_size
        self._here = bytearray(-(-self.size // BLOCK_BYTES))
        self._next, self._ahead = 0, 1
        self._lock = Lock()

    def need(self, start: int, end: int) -> None:
        """Have the bytes from `start` to before `end` in the file when this returns. Raises `Refusal`."""
        with self._lock:
            first, stop = start // BLOCK_BYTES, -(-min(end, self.size) // BLOCK_BYTES)
            first = self._here.find(0, first, max(first, stop))
            while first >= 0:
                most = min(MAX_ASKED_BYTES // BLOCK_BYTES, max(stop - first, self._window(first)))
                self._fetch(first, min(first + most, len(self._here)))
                first = self._here.find(0, self._next, max(self._next, stop))

    def _window(self, first: int) -> int:
        """More at a time for who goes on where it stopped."""
        self._ahead = min(2 * self._ahead, MAX_AHEAD) if first == self._next else 1
        return self._ahead

    def _fetch(self, first: int, stop: int) -> None:
        if not _asked:
            raise RuntimeError(f"nobody fetches what is lacking of {self._path}")
        _asked[0](self._path, first * BLOCK_BYTES, min(stop * BLOCK_BYTES, self.size))
        self._here[first:stop] = b"\1" * (stop - first)
        self._next = stop


@cache
def ranges_of(path: Path) -> Ranges:
    return Ranges(path)


class RangedFile(io.RawIOBase):
    """The whole, to be read as a file that can seek. Each one by one thread at a time."""

    def __init__(self, ranges: Ranges) -> None:
        super().__init__()
        self._ranges, self._position = ranges, 0
        self._descriptor = os.open(ranges.file, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ranges.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._ranges.size)
        if end <= self._position:
            return 0
        self._ranges.need(self._position, end)
        read = os.preadv(self._descriptor, [memoryview(buffer)[: end - self._position]], self._position)
        self._position += read
        return read
