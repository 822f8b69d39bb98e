"""Opening and copying a file whose name came from elsewhere."""

import os
import stat
from io import FileIO
from pathlib import Path
from typing import Final

from app.storage.ports import BlobWriter

CHUNK: Final = 2**20


def open_plain(path: Path, folder: int | None = None) -> FileIO:
    """For reading, unbuffered; follows no symbolic link and waits for no pipe. `folder` is the descriptor of the one
    that the path begins in, where not in the working directory.

    Raises `OSError` when it is not there or is a symbolic link (ELOOP), `ValueError` when it is no plain file, or has
    a second name: a hard link could show any file of ours.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise ValueError(f"{path} is no plain file with one name")
    return os.fdopen(handle, "rb", buffering=0)


def copy_in(path: Path, writer: BlobWriter) -> tuple[str, int]:
    """Write a plain file's bytes and commit them; what fails leaves nothing. Raises like `open_plain`."""
    try:
        with open_plain(path) as source:
            while chunk := source.read(CHUNK):
                writer.write(chunk)
        return writer.commit()
    finally:
        writer.abort()
