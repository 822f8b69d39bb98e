"""Reads Parquet, row group by row group, a few rows at a time, into files of columns."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from winnow.contract.errors import Refusal
from worker.compression.data.formats.tables.arrow import ArrowWriter
from worker.compression.data.formats.tables.column_files import ColumnFiles

MAGIC: Final = b"PAR1"
ROWS: Final = 256
MAX_ROWS: Final = 2**28
MAX_FOOTER_BYTES: Final = 2**26
MAX_NAMES: Final = 100_000


def write_parquet(paths: Sequence[Path], files: ColumnFiles) -> None:
    """Append the rows of Parquet files with one schema. Refuses with `invalid_dataset`, `unsafe_archive`."""
    writer, schema = ArrowWriter(files), None
    for path in paths:
        try:
            repeated = _texts(pq.read_schema(path, memory_map=True))
            with pq.ParquetFile(
                path, memory_map=True, read_dictionary=repeated,
                thrift_string_size_limit=MAX_FOOTER_BYTES, thrift_container_size_limit=MAX_NAMES,
            ) as file:  # fmt: skip
                if schema is None:
                    schema = file.schema_arrow
                    writer.begin(schema)
                    files.classes = _classes(schema)
                elif not schema.equals(file.schema_arrow):
                    raise Refusal(
                        "invalid_dataset",
                        f"{path.name[:80]!r} has other columns than the files before it. Files of one dataset have "
                        "columns of the same names and types.",
                    )
                _write(file, writer)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise Refusal(
                "invalid_dataset",
                f"The Parquet file cannot be read: {str(error)[:200]}. Write it again and upload it whole.",
            ) from error


def _write(file: pq.ParquetFile, writer: ArrowWriter) -> None:
    unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if unpacked > writer.files.allowed or file.metadata.num_rows > MAX_ROWS:
        raise Refusal(
            "unsafe_archive",
            f"The Parquet file says that it unpacks to {unpacked} bytes in {file.metadata.num_rows} rows; allowed are "
            f"{writer.files.allowed} bytes and {MAX_ROWS} rows.",
        )
    for batch in file.iter_batches(ROWS, columns=list(writer.numbers), use_threads=False):
        writer.write(batch)


def _texts(schema: pa.Schema) -> list[str]:
    """Name the columns whose values a file may hold once and repeat a thousand times: they are kept as they lie."""
    is_text = (pa.types.is_string, pa.types.is_binary)
    return [item.name for item in schema if any(is_kind(item.type) for is_kind in is_text)]


def _classes(schema: pa.Schema) -> list[str] | None:
    """Read the names of the one column of classes, where Hugging Face's `datasets` wrote the file."""
    try:
        features: dict[str, Any] = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = [f["names"] for f in features.values() if f.get("_type") == "ClassLabel"]
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        return None
    fits = len(names) == 1 and isinstance(names[0], list) and all(isinstance(n, str) for n in names[0])
    return [str(name) for name in names[0]] if fits else None
