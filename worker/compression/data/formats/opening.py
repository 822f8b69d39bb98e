"""Open a dataset of any format; what it is was found in its bytes when it was uploaded, and is found there again."""

from pathlib import Path

from worker.compression.data.formats.archive import is_archive, open_archive
from worker.compression.data.formats.archive_kind import archive_kind
from worker.compression.data.formats.npz import open_arrays
from worker.compression.data.formats.pictures import pictures_table
from worker.compression.data.table import Table


def open_table(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> Table:
    """Read the columns of a dataset file; what has to be unpacked or decoded as a whole is, once, into `scratch`.

    Refuses with `invalid_dataset`, `unsafe_archive`, `pickle_refused`.
    """
    if is_archive(path):
        archive = open_archive(path, max_bytes=max_unpacked_bytes)
        if archive_kind(archive.names) == "pictures":
            return pictures_table(archive)
    return Table(dict(open_arrays(path, scratch, max_unpacked_bytes=max_unpacked_bytes)))
