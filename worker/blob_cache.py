"""Blobs as files that a child can read: the store's own, or copies of a bucket's in a bounded folder of this machine.

    cache/<SHA-256>/content

All workers of a machine share it. What was copied is read and hashed again whenever it is lent: a disk that lost
something to a power cut costs a download, and no result. Beyond the bound the least recently used go, but for what an
attempt at work holds.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.storage.ports import Blobs, RemoteObject
from winnow.contract.errors import Refusal
from worker.compression.bounded_folder import BoundedFolder

log = logging.getLogger(__name__)

Files = Callable[[str], Path]
"""SHA-256 → a read-only file with that content. Raises `FileNotFoundError`; `OSError` where the store is away."""
CONTENT: Final = "content"
MAX_ENTRIES: Final = 100_000
MAX_TRIES: Final = 3
"""Another process may remove what was just copied, before it is held."""


class BlobCache:
    """`max_bytes` of copies are kept, and what is in use."""

    def __init__(self, blobs: Blobs, folder: Path, max_bytes: int) -> None:
        self._blobs, self._folder, self._max_bytes = blobs, folder, max_bytes

    @contextmanager
    def lent(self) -> Iterator[Files]:
        """Files that stay for as long as the context lasts."""
        held: list[BoundedFolder] = []

        def file_of(sha256: str) -> Path:
            source = self._blobs.source(sha256)
            if isinstance(source, Path):
                return source
            if not held:
                held.append(BoundedFolder(self._folder, max_entries=MAX_ENTRIES, max_bytes=self._max_bytes))
            return _copied(held[0], sha256, source)

        try:
            yield file_of
        finally:
            for folder in held:
                folder.let_go()


def _copied(folder: BoundedFolder, sha256: str, source: RemoteObject) -> Path:
    for _ in range(MAX_TRIES):
        if (place := folder.hold(sha256)) is not None:
            if _sha256_of(place / CONTENT) == sha256:
                return place / CONTENT
            log.warning("the copy of %s is damaged: fetched again", sha256)
            folder.remove(sha256)
        folder.add(sha256, lambda place: _fetch(source, sha256, place / CONTENT))
    raise OSError(f"{sha256} was removed from the cache as often as it was fetched: give it more room")


def _fetch(source: RemoteObject, sha256: str, file: Path) -> None:
    """Raises `Refusal` where the bytes are not those of that name."""
    digest = hashlib.sha256()
    with file.open("xb") as copy:
        for chunk in source.chunks():
            digest.update(chunk)
            copy.write(chunk)
    file.chmod(0o440)
    if digest.hexdigest() != sha256:
        raise Refusal(
            "storage_unavailable",
            f"The store has other bytes under the name {sha256} than were put there. Tell its operator; upload the "
            "file again, then retry.",
        )


def _sha256_of(file: Path) -> str | None:
    """None where it cannot be read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None
