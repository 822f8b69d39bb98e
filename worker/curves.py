"""The curves that training steps leave behind (TensorBoard event files), as one zip.

The child wrote them, so only plain files that really lie in the folder are taken, and no more than a few.
"""

import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.storage.plain_file import open_plain
from app.storage.ports import Blobs, BlobWriter

log = logging.getLogger(__name__)

MAX_BYTES: Final = 64 * 2**20
"""Of event files: more than hours of training write. What is beyond is left out."""
MAX_FILES: Final = 1000
CHUNK: Final = 2**20


def pack(folder: Path, blobs: Blobs) -> tuple[str, int] | None:
    """Store the zip and return its (SHA-256, size); None when there is no event file. Raises `Refusal` `disk_full`.

    The same files make the same bytes.
    """
    files = list(_files(folder))
    if not files:
        return None
    writer = blobs.writer()
    try:
        with zipfile.ZipFile(BlobStream(writer), "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                _add(archive, file, file.relative_to(folder).as_posix())
        return writer.commit()
    finally:
        writer.abort()


def _files(folder: Path) -> Iterator[Path]:
    """Plain files in a fixed order, links neither taken nor followed, as far as the bounds allow."""
    count = size = 0
    for root, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for file in (Path(root, name) for name in sorted(names)):
            if file.is_symlink() or not file.is_file() or not str(file).isprintable():
                continue
            count, size = count + 1, size + file.stat().st_size
            if count > MAX_FILES or size > MAX_BYTES:
                log.warning("%s holds more curves than are kept", folder)
                return
            yield file


def _add(archive: zipfile.ZipFile, file: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name)  # of 1980, so that equal files make equal zips
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    with open_plain(file) as source, archive.open(entry, "w") as target:
        remaining = MAX_BYTES
        while remaining > 0 and (chunk := source.read(min(CHUNK, remaining))):
            target.write(chunk)
            remaining -= len(chunk)


class BlobStream:
    """A blob's writer as a file that cannot seek: archives are then written straight through."""

    def __init__(self, writer: BlobWriter) -> None:
        self._writer = writer

    def write(self, chunk: bytes) -> int:
        self._writer.write(chunk)
        return len(chunk)

    def flush(self) -> None: ...

    def close(self) -> None: ...
