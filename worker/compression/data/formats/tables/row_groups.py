"""Reads a Parquet file of which not all is here: long texts, pictures and sounds row group by row group, when a row of
them is needed; other columns as a whole, when the table is opened.

What such a column will be has to be known without reading it: that no value is missing, from the statistics of every
row group; whether it holds pictures or sounds, from the first one. A column of which the file does not say it is read
as a whole, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worker.compression.data.formats.tables.column_files import ColumnFiles, written_once
from worker.compression.data.formats.tables.parquet import opened_parquet, write_opened
from worker.compression.data.ranges.ranged import size_of
from worker.compression.data.ranges.ranged_array import WHOLE_BYTES
from worker.compression.data.table import Column, Files, Rows, Table, Texts

PARTS_IN_MEMORY: Final = 64

Holds = Literal["image", "audio"]

Part = Callable[[int], Table]
"""The number of a row group → the table of its rows."""


@dataclass
class RowGroups:
    """One column. `first` is the row that each row group begins with, and behind the last one how many there are."""

    name: str
    first: Sequence[int]
    part: Part
    lock: Lock = field(default_factory=Lock)
    parts: dict[int, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.first[-1])

    def find(self, row: int) -> tuple[Column, int]:
        """The column of the row's group, and its number there."""
        group = int(np.searchsorted(self.first, row, side="right")) - 1
        with self.lock:
            if group not in self.parts:
                if len(self.parts) >= PARTS_IN_MEMORY:
                    self.parts.pop(next(iter(self.parts)))
                self.parts[group] = self.part(group).columns[self.name]
            return self.parts[group], row - int(self.first[group])


@dataclass(frozen=True)
class GroupedTexts:
    """`Texts`, none of which is missing."""

    groups: RowGroups

    def __len__(self) -> int:
        return len(self.groups)

    def texts(self, rows: Rows, /) -> list[str]:
        return [self._text(int(row)) for row in rows]

    def _text(self, row: int) -> str:
        column, at = self.groups.find(row)
        assert isinstance(column, Texts)
        return column.texts(range(at, at + 1))[0]


@dataclass(frozen=True)
class GroupedFiles:
    """`Files`, none of which is missing."""

    groups: RowGroups
    holds: Holds

    def __len__(self) -> int:
        return len(self.groups)

    def content(self, row: int, /) -> bytes:
        column, at = self.groups.find(row)
        assert isinstance(column, Files)
        return column.content(at)

    def place(self, row: int, /) -> str:
        return f"row {row} of {self.groups.name!r}"


def open_row_groups(path: Path, target: Path, limit: int) -> Table:
    """Open it; what is read of it is written beside `target`. Refuses as `write_parquet` does."""
    with opened_parquet(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    size = size_of(path)
    later = _read_later(metadata, schema)
    now = [name for name in schema.names if name not in later]
    write = partial(_write, path, now, None, None)
    table = written_once(target, size, limit, write)
    first = np.cumsum([0, *(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))])
    columns = dict(table.columns)
    notes = list(table.notes)
    for name in later:
        folder = target.parent / f"{target.name}-{schema.names.index(name)}"
        part = partial(_part, path, name, folder, size, limit)
        opened = part(0, None)
        notes += opened.notes
        if name in opened.columns:
            columns[name] = _grouped(name, first.tolist(), part, opened.columns[name])
    ordered = {name: columns[name] for name in schema.names if name in columns}
    return Table(ordered, table.classes, table.class_column, notes=notes)


def _part(
    path: Path, name: str, folder: Path, size: int, limit: int, group: int, holds: Holds | None
) -> Table:
    return written_once(folder / str(group), size, limit, partial(_write, path, [name], group, holds))


def _write(
    path: Path, columns: list[str], group: int | None, holds: Holds | None, files: ColumnFiles
) -> None:
    with opened_parquet(path) as file:
        write_opened(file, files, columns, group, holds)


def _grouped(
    name: str, first: Sequence[int], part: Callable[[int, Holds | None], Table], like: Column
) -> Column:
    """The column that is `like` one of its parts."""
    holds = like.holds if isinstance(like, Files) else None
    groups = RowGroups(name, first, lambda group: part(group, holds))
    return GroupedTexts(groups) if holds is None else GroupedFiles(groups, holds)


def _read_later(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Name the columns of texts and files that are large, and that have a value in every row."""
    sizes: dict[str, int] = {}
    complete: dict[str, bool] = {}
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk: Any = metadata.row_group(group).column(number)
            name = chunk.path_in_schema.partition(".")[0]
            statistics = chunk.statistics
            full = statistics is not None and statistics.has_null_count and statistics.null_count == 0
            of_files = chunk.path_in_schema == f"{name}.path"
            sizes[name] = sizes.get(name, 0) + chunk.total_compressed_size
            complete[name] = complete.get(name, True) and (full or of_files)
    return [
        item.name for item in schema
        if _is_long(item.type) and complete.get(item.name) and sizes[item.name] > WHOLE_BYTES
    ]  # fmt: skip


def _is_long(type: pa.DataType) -> bool:
    """Whether it is text, or a file as `ArrowWriter` reads them."""
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if pa.types.is_dictionary(type):
        return _is_long(type.value_type)
    if pa.types.is_struct(type):
        return type.get_field_index("bytes") >= 0 and _is_long(type.field("bytes").type)
    return any(is_kind(type) for is_kind in kinds)
