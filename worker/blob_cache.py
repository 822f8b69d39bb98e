"""Blobs as files that a child can read: the store's own, or copies of a bucket's in a bounded folder of this machine.

    cache/<SHA-256>/content         a whole copy
    cache/<SHA-256>….ranges/        of a large dataset what was asked for: `worker.ranged_copy`

All workers of a machine share it. What was copied is read and hashed again whenever it is lent: a disk that lost
something to a power cut costs a download, and no result. Beyond the bound the least recently used go, but for what an
attempt at work holds.
"""

import filecmp
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.storage.ports import Blobs, RemoteObject
from worker.compression.cache.bounded_folder import BoundedFolder
from worker.compression.data.ranges.ranged import CONTENT, INDEX, SUFFIX
from worker.ranged_copy import BlockHashes, RangedCopy, hashes_of, other_bytes

log = logging.getLogger(__name__)

Files = Callable[[str], Path]
"""SHA-256 → a read-only file with that content. Raises `FileNotFoundError`; `OSError` where the store is away."""
MAX_ENTRIES: Final = 100_000
MAX_TRIES: Final = 3
"""Another process may remove what was just copied, before it is held."""
SHORT_NAME: Final = 16
READ_IN_PARTS: Final = frozenset({"npy", "npz", "parquet"})
"""Formats of which rows are found without reading all of it; in archives they are by an index."""


class BlobCache:
    """`max_bytes` of copies are kept, and what is in use. Of datasets above `ranges_above` bytes ranges are fetched."""

    def __init__(self, blobs: Blobs, folder: Path, max_bytes: int, ranges_above: int) -> None:
        self._blobs, self._folder, self._max_bytes = blobs, folder, max_bytes
        self._ranges_above = ranges_above

    @contextmanager
    def lent(self) -> Iterator["Lent"]:
        """Files that stay for as long as the context lasts."""
        lent = Lent(self._blobs, self._folder, self._max_bytes, self._ranges_above)
        try:
            yield lent
        finally:
            lent.let_go()


class Lent:
    """What one attempt at work was given. A function `Files`, too."""

    def __init__(self, blobs: Blobs, folder: Path, max_bytes: int, ranges_above: int) -> None:
        self._blobs, self._place, self._max_bytes = blobs, folder, max_bytes
        self._ranges_above = ranges_above
        self._held: BoundedFolder | None = None
        self._ranged: dict[Path, RangedCopy] = {}

    def __call__(self, sha256: str) -> Path:
        source = self._blobs.source(sha256)
        return source if isinstance(source, Path) else _copied(self._folder, sha256, source)

    def whole_dataset(self, sha256: str) -> Path:
        """As a call; the blocks of a large one are known from then on."""
        source = self._blobs.source(sha256)
        return source if isinstance(source, Path) else self._whole(sha256, source)

    def is_large(self, sha256: str) -> bool:
        """Whether ranges of it are fetched, once its blocks are known."""
        source = self._blobs.source(sha256)
        return not isinstance(source, Path) and source.size > self._ranges_above

    def dataset(self, sha256: str, format: str, index: str | None) -> Path:
        """As `whole_dataset`; or where it is large, not here as a whole, its blocks are known, and not all of it would
        be read, a folder of which `worker.compression.data.ranges` reads. `index` is the SHA-256 of an archive's."""
        source = self._blobs.source(sha256)
        if isinstance(source, Path):
            return source
        in_parts = source.size > self._ranges_above and (index is not None or format in READ_IN_PARTS)
        hashes = hashes_of(source) if in_parts else None
        if hashes is None or self._folder.hold(sha256) is not None:
            return self._whole(sha256, source)
        folder = _ranged(self._folder, sha256, source.size, index, None if index is None else self(index))
        self._ranged[folder] = RangedCopy(source, sha256, folder, hashes)
        return folder

    def fetch(self, path: Path, start: int, end: int) -> int:
        """Bring a range of what `dataset` gave; how many bytes came from the store for it.

        Raises `KeyError` for another path, and as `RangedCopy.fetch`.
        """
        return self._ranged[path].fetch(start, end)

    def let_go(self) -> None:
        if self._held is not None:
            self._held.let_go()
            if self._ranged:
                self._held.shrink()

    @property
    def _folder(self) -> BoundedFolder:
        if self._held is None:
            self._held = BoundedFolder(self._place, max_entries=MAX_ENTRIES, max_bytes=self._max_bytes)
        return self._held

    def _whole(self, sha256: str, source: RemoteObject) -> Path:
        return _copied(self._folder, sha256, source, keeps_hashes=source.size > self._ranges_above)


def _copied(folder: BoundedFolder, sha256: str, source: RemoteObject, *, keeps_hashes: bool = False) -> Path:
    for _ in range(MAX_TRIES):
        if (place := folder.hold(sha256)) is not None:
            if _sha256_of(place / CONTENT) == sha256:
                return place / CONTENT
            log.warning("the copy of %s is damaged: fetched again", sha256)
            folder.remove(sha256)
        folder.add(sha256, lambda place: _fetch(source, sha256, place / CONTENT, keeps_hashes=keeps_hashes))
    raise _removed(sha256)


def _fetch(source: RemoteObject, sha256: str, file: Path, *, keeps_hashes: bool) -> None:
    """Raises `Refusal` where the bytes are not those of that name."""
    digest, blocks = hashlib.sha256(), BlockHashes()
    with file.open("xb") as copy:
        for chunk in source.chunks():
            digest.update(chunk)
            if keeps_hashes:
                blocks.update(chunk)
            copy.write(chunk)
    file.chmod(0o440)
    if digest.hexdigest() != sha256:
        raise other_bytes(sha256)
    if keeps_hashes:
        _keep(source, sha256, blocks.digests())


def _keep(source: RemoteObject, sha256: str, hashes: bytes) -> None:
    """Without them the next host fetches all of it, too: nothing fails by it."""
    try:
        if hashes_of(source) is None:
            source.keep_block_hashes(hashes)
    except Exception as error:
        log.warning("the hashes of the blocks of %s are not kept: %s", sha256, error)


def _ranged(
    folder: BoundedFolder, sha256: str, size: int, index: str | None, index_file: Path | None
) -> Path:
    key = f"{sha256}{'' if index is None else '-' + index[:SHORT_NAME]}{SUFFIX}"
    for _ in range(MAX_TRIES):
        if (place := folder.hold(key)) is not None:
            if _is_whole(place, size, index_file):
                return place
            folder.remove(key)
        folder.add(key, lambda place: _begin(place, size, index_file))
    raise _removed(sha256)


def _begin(place: Path, size: int, index_file: Path | None) -> None:
    with (place / CONTENT).open("xb") as file:
        file.truncate(size)
    if index_file is not None:
        shutil.copyfile(index_file, place / INDEX)


def _is_whole(place: Path, size: int, index_file: Path | None) -> bool:
    """Whether nothing has shortened it, or spoilt what is not fetched block by block."""
    try:
        same_index = index_file is None or filecmp.cmp(index_file, place / INDEX, shallow=False)
        return same_index and (place / CONTENT).stat().st_size == size
    except OSError:
        return False


def _removed(sha256: str) -> OSError:
    return OSError(f"{sha256} was removed from the cache as often as it was fetched: give it more room")


def _sha256_of(file: Path) -> str | None:
    """None where it cannot be read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None
