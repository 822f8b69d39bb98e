"""The bytes of a blob, a few MiB at a time, wherever it lies."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from app.storage.ports import RemoteObject

CHUNK_BYTES: Final = 2**20


def size_of(source: Path | RemoteObject) -> int:
    return source.stat().st_size if isinstance(source, Path) else source.size


def chunks_of(source: Path | RemoteObject, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Those from `start` to before `end` (all of a file). The first is read at once: a store that is away is told while
    the answer can still be a problem."""
    chunks = _read(source) if isinstance(source, Path) else source.chunks(start, end)
    return chain([next(chunks, b"")], chunks)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
