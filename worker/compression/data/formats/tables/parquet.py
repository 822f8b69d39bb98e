"""Reads Parquet, row group by row group, a few rows at a time, into files of columns."""

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from winnow.contract.errors import Refusal
from worker.compression.data.formats.tables.arrow import ArrowWriter
from worker.compression.data.formats.tables.column_files import ColumnFiles, Kind
from worker.compression.data.ranges.ranged import is_ranged, opened

ROWS: Final = 256
MAX_ROWS: Final = 2**28
MAX_FOOTER_BYTES: Final = 2**26
MAX_NAMES: Final = 100_000
BUFFER_BYTES: Final = 2**20
"""Of a file that is not mapped: else a column's part of a row group is read into memory as a whole."""


def write_parquet(paths: Sequence[Path], files: ColumnFiles) -> None:
    """Append the rows of Parquet files with one schema. Refuses with `invalid_dataset`, `unsafe_archive`."""
    writer, schema = ArrowWriter(files), None
    for path in paths:
        with opened_parquet(path) as file:
            if schema is None:
                schema = file.schema_arrow
                writer.begin(schema)
                files.class_column, files.classes = _classes(schema)
            elif not schema.equals(file.schema_arrow):
                raise Refusal(
                    "invalid_dataset",
                    f"{path.name[:80]!r} has other columns than the files before it. Files of one dataset have "
                    "columns of the same names and types.",
                )
            _write(file, writer)


@contextmanager
def opened_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Whatever cannot be read of it meanwhile refuses with `invalid_dataset`, but for what there is no room for."""
    try:
        if is_ranged(path):
            with opened(path, buffering=0) as content, _file(content, buffer_size=BUFFER_BYTES) as file:
                yield file
        else:
            with _file(path, memory_map=True) as file:
                yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Refusal(
            "invalid_dataset",
            f"The Parquet file cannot be read: {str(error)[:200]}. Write it again and upload it whole.",
        ) from error


def write_opened(
    file: pq.ParquetFile, files: ColumnFiles, columns: list[str], group: int | None, holds: Kind | None
) -> None:
    """Append the rows of these columns, of one row group or of all. `holds` says what its files are, where that is
    known. Refuses as `write_parquet` does."""
    writer, schema = ArrowWriter(files, holds), file.schema_arrow
    writer.begin(pa.schema([item for item in schema if item.name in columns]))
    files.class_column, files.classes = _classes(schema)
    _write(file, writer, None if group is None else [group])


def _file(content: Any, *, memory_map: bool = False, buffer_size: int = 0) -> pq.ParquetFile:
    return pq.ParquetFile(
        content, read_dictionary=_texts(pq.read_schema(content, memory_map=memory_map)), memory_map=memory_map,
        thrift_string_size_limit=MAX_FOOTER_BYTES, thrift_container_size_limit=MAX_NAMES, buffer_size=buffer_size,
        pre_buffer=False,
    )  # fmt: skip


def _write(file: pq.ParquetFile, writer: ArrowWriter, groups: list[int] | None = None) -> None:
    unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if unpacked > writer.files.allowed or file.metadata.num_rows > MAX_ROWS:
        raise Refusal(
            "unsafe_archive",
            f"The Parquet file says that it unpacks to {unpacked} bytes in {file.metadata.num_rows} rows; allowed are "
            f"{writer.files.allowed} bytes and {MAX_ROWS} rows.",
        )
    for batch in file.iter_batches(ROWS, row_groups=groups, columns=list(writer.numbers), use_threads=False):
        writer.write(batch)


def _texts(schema: pa.Schema) -> list[str]:
    """Name the columns whose values a file may hold once and repeat a thousand times: they are kept as they lie."""
    is_text = (pa.types.is_string, pa.types.is_binary)
    return [item.name for item in schema if any(is_kind(item.type) for is_kind in is_text)]


def _classes(schema: pa.Schema) -> tuple[str, list[str] | None]:
    """Read which is the one column of classes, and their names, where Hugging Face's `datasets` wrote the file."""
    try:
        features: dict[str, Any] = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        named = [(column, f["names"]) for column, f in features.items() if f.get("_type") == "ClassLabel"]
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        named = []
    column, names = named[0] if len(named) == 1 else ("", None)
    return column, names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
