"""Open a dataset of any format; what it is was found in its bytes when it was uploaded, and is found there again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.strict_tar import MAGIC, MAGIC_AT
from worker.compression.data.formats import npy, npy_header
from worker.compression.data.formats.archive import open_archive
from worker.compression.data.formats.archive_index import write_index
from worker.compression.data.formats.archive_kind import archive_kind
from worker.compression.data.formats.npz import open_arrays
from worker.compression.data.formats.pictures import pictures_table
from worker.compression.data.formats.signatures import PARQUET, kind_of_file
from worker.compression.data.formats.sounds import single_sound, sounds
from worker.compression.data.formats.tables.column_files import ColumnFiles, written_once
from worker.compression.data.formats.tables.jsonl import write_jsonl
from worker.compression.data.formats.tables.ragged import with_ragged
from worker.compression.data.formats.tables.table_archive import read_tokenizer, table_archive, unpack_members
from worker.compression.data.ranges.ranged import is_ranged, opened, whole
from worker.compression.data.scratch import identity
from worker.compression.data.table import Table

HEAD_BYTES: Final = 1024
Write = Callable[[Sequence[Path], ColumnFiles], None]


def open_table(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> Table:
    """Read the columns of a dataset file; what has to be unpacked or decoded as a whole is, once, into `scratch`.

    Refuses with `invalid_dataset`, `unsafe_archive`, `pickle_refused`.
    """
    kind = _kind(path, max_unpacked_bytes)
    if kind == "archive":
        return _archive(path, scratch, max_unpacked_bytes)
    return _table(kind, [path], scratch / f"{identity(path)}-columns", scratch, max_unpacked_bytes)


def _kind(path: Path, limit: int) -> str:
    """Tell the kind of a file by its first bytes."""
    with opened(path) as file:
        head = file.read(HEAD_BYTES)
        if head.startswith(b"PK"):
            return "npz" if _is_npz(path, limit) else "archive"
    if head[MAGIC_AT:].startswith(MAGIC):
        return "archive"
    if head.startswith(npy_header.MAGIC):
        return "npy"
    if head.startswith(PARQUET):
        return "parquet"
    if kind_of_file(head) == "audio":
        return "audio"
    return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"


def _is_npz(path: Path, limit: int) -> bool:
    """Whether all members are arrays; what cannot be read is for the reader of those to refuse."""
    try:
        return archive_kind(open_archive(path, max_bytes=limit).names) == "arrays"
    except Refusal:
        return True


def archive_index(path: Path, folder: Path, *, max_bytes: int) -> Path | None:
    """Write down in `folder` where the pictures, sounds or tables of an archive lie; None where it is none."""
    if _kind(path, max_bytes) != "archive":
        return None
    archive, file = open_archive(path, max_bytes=max_bytes), folder / f"{identity(path)}-index.npz"
    write_index(archive.names, archive.places, file)
    return file


def _archive(path: Path, scratch: Path, limit: int) -> Table:
    opened = open_archive(path, max_bytes=limit)
    if archive_kind(opened.names) == "pictures":
        return pictures_table(opened)
    held = table_archive(opened)
    members = unpack_members(opened, held.members, scratch / f"{identity(path)}-members")
    if held.kind == "audio":
        return sounds(held.members, members)
    table = _table(held.kind, members, scratch / f"{identity(path)}-columns", scratch, limit)
    if held.tokenizer is None:
        return table
    return replace(table, tokenizer=read_tokenizer(opened, held.tokenizer))


def _table(kind: str, paths: list[Path], target: Path, scratch: Path, limit: int) -> Table:
    if kind == "parquet" and len(paths) == 1 and is_ranged(paths[0]):
        from worker.compression.data.formats.tables.row_groups import open_row_groups

        return open_row_groups(paths[0], target, limit)
    if (write := _writer(kind)) is not None:
        paths = [whole(path) for path in paths]
        size = sum(path.stat().st_size for path in paths)
        return written_once(target, size, limit, lambda files: write(paths, files))
    if len(paths) > 1:
        raise Refusal("invalid_dataset", f"The archive holds {len(paths)} {kind} files, and one is read.")
    match kind:
        case "npy":
            return Table({npy.NAME: npy.open_array(paths[0])})
        case "audio":
            return single_sound(whole(paths[0]))
        case _:
            return Table({**with_ragged(open_arrays(paths[0], scratch, max_unpacked_bytes=limit))})


def _writer(kind: str) -> Write | None:
    """What writes a table of this kind; None for what is none. Arrow is imported for those that need it."""
    match kind:
        case "csv":
            from worker.compression.data.formats.tables.csv_file import write_csv

            return write_csv
        case "parquet":
            from worker.compression.data.formats.tables.parquet import write_parquet

            return write_parquet
        case "jsonl":
            return write_jsonl
        case _:
            return None
