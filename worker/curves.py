"""The curves that training steps leave behind (TensorBoard event files), as one zip.

The child wrote them, so only plain files that really lie in the folder are taken, and no more than a few.
"""

import logging
import os
import zipfile
from collections.abc import Generator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

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
    files = _files(folder)
    if (first := next(files, None)) is None:
        return None
    writer = blobs.writer()
    try:
        with zipfile.ZipFile(BlobStream(writer), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, file in chain([first], files):
                _add(archive, file, name)
        return writer.commit()
    finally:
        files.close()
        writer.abort()


def _files(folder: Path) -> Generator[tuple[str, BinaryIO], None, None]:
    """Plain files in a fixed order, open, as far as the bounds allow. Links are neither taken nor followed, whatever is
    put in a folder's place meanwhile: the child may be at work."""
    count = size = 0
    for root, folders, names, descriptor in os.fwalk(folder) if folder.is_dir() else ():
        folders.sort()
        for name in sorted(names):
            try:
                file = open_plain(Path(name), descriptor)
            except (OSError, ValueError):
                continue
            with file:
                count, size = count + 1, size + os.fstat(file.fileno()).st_size
                if count > MAX_FILES or size > MAX_BYTES:
                    log.warning("%s holds more curves than are kept", folder)
                    return
                if (path := Path(root, name).relative_to(folder).as_posix()).isprintable():
                    yield path, file


def _add(archive: zipfile.ZipFile, source: BinaryIO, name: str) -> None:
    entry = zipfile.ZipInfo(name)  # of 1980, so that equal files make equal zips
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    with archive.open(entry, "w") as target:
        remaining = MAX_BYTES
        while remaining > 0 and (chunk := source.read(min(CHUNK, remaining))):
            target.write(chunk)
            remaining -= len(chunk)


def unpack(archive: Path, folder: Path) -> None:
    """Put back what was packed, where nothing has been drawn yet. Raises `BadZipFile`, `OSError`."""
    if any(file.is_file() for file in folder.rglob("*")):
        return
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)


class BlobStream:
    """A blob's writer as a file that cannot seek: archives are then written straight through."""

    def __init__(self, writer: BlobWriter) -> None:
        self._writer = writer

    def write(self, chunk: bytes) -> int:
        self._writer.write(chunk)
        return len(chunk)

    def flush(self) -> None: ...

    def close(self) -> None: ...
