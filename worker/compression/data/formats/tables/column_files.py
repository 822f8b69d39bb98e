"""Writes the columns of a table into scratch, block by block, as files that are mapped from then on: numbers as they
lie in memory, texts, files and lists end to end with their ends beside them.

    columns.json      what the columns are; it is written last, and the folder renamed: whole or absent
    3.values          of the third column
    3.ends            int64, one a row; not for plain numbers
    3.missing         int64, the rows that have no value
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np

from winnow.contract.declaration import MAX_COLUMNS
from winnow.contract.errors import Refusal
from winnow.contract.strict_zip.archive import ANY_RATIO_BYTES, MAX_RATIO
from worker.compression.data.formats.tables.mapped import Ends, MappedFiles, MappedLists, MappedTexts
from worker.compression.data.table import Column, Table
from worker.compression.ir.arrays import Array

INDEX: Final = "columns.json"
MAX_FAULTS: Final = 10
"""Faults that are told; all are counted."""
ROWS_AT_A_TIME: Final = 2**14
Kind = Literal["numbers", "lists", "text", "image", "audio"]


@dataclass
class Written:
    """One column: `inner` is the shape of a row of plain numbers, or of one entry of a list."""

    name: str
    kind: Kind
    dtype: str = "uint8"
    inner: list[int] = field(default_factory=list)


class ColumnFiles:
    """A table that is being written. `allowed` bounds its bytes."""

    def __init__(self, folder: Path, allowed: int) -> None:
        self.folder, self.allowed = folder, allowed
        self.columns: list[Written] = []
        self.rows = self.skipped = 0
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.classes: list[str] | None = None
        self.class_column = ""
        self._missing: dict[int, list[Array]] = {}
        self._ends: dict[int, int] = {}

    def add(self, name: str, kind: Kind, dtype: str = "uint8") -> int:
        """Begin a column; return its number."""
        if len(self.columns) >= MAX_COLUMNS:
            raise Refusal("invalid_dataset", f"The table has more than {MAX_COLUMNS} columns.")
        if any(column.name == name for column in self.columns):
            raise Refusal("invalid_dataset", f"Two columns of the table are named {name[:80]!r}. Rename one.")
        self.columns.append(Written(name, kind, dtype))
        return len(self.columns) - 1

    def fault(self, what: str) -> None:
        """Count a row that cannot be read, and note the first few."""
        self.skipped += 1
        if self.tells_more:
            self.faults.append(what)

    @property
    def tells_more(self) -> bool:
        """Whether the next fault will be told, not only counted."""
        return len(self.faults) < MAX_FAULTS

    def numbers(self, number: int, values: Array, missing: Array) -> None:
        """Append rows of plain numbers; where `missing` says so NaN, for which integers become floats at the end."""
        self._note_missing(number, missing)
        self._append(number, "values", np.ascontiguousarray(values, self.columns[number].dtype))

    def lists(self, number: int, lengths: Array, values: Array, missing: Array) -> bool:
        """Append rows of lists, end to end in `values`; False where their entries differ in shape."""
        column, inner = self.columns[number], list(values.shape[1:])
        if number in self._ends and column.inner != inner:
            return False
        column.inner = inner
        self._append(number, "values", np.ascontiguousarray(values, column.dtype))
        self._append_ends(number, lengths, missing)
        return True

    def blobs(self, number: int, lengths: Array, content: Array, missing: Array) -> None:
        """Append rows of texts or files, end to end in `content`."""
        self._append(number, "values", content)
        self._append_ends(number, lengths, missing)

    def mapped(self, number: int) -> Column:
        """Open a column again that is being written."""
        return _column(self.folder, number, self.columns[number], self.rows, self._missing_of(number))

    def replace(
        self, number: int, dtype: str, convert: Callable[[Column, range], tuple[Array, Array]]
    ) -> None:
        """Write a column anew as plain numbers: `convert` returns some rows of the old one, and which are missing."""
        old, target = self.mapped(number), self.folder / "new"
        self.columns[number] = Written(self.columns[number].name, "numbers", dtype)
        self._missing.pop(number, None)
        for start in range(0, self.rows, ROWS_AT_A_TIME):
            values, missing = convert(old, range(start, min(start + ROWS_AT_A_TIME, self.rows)))
            self._note_missing(number, missing, start)
            self._write(target, np.ascontiguousarray(values, dtype))
        (self.folder / f"{number}.ends").unlink(missing_ok=True)
        target.touch()
        target.replace(self.folder / f"{number}.values")

    def drop(self, number: int, why: str) -> None:
        """Leave out a column that cannot be read, saying why."""
        column = self.columns[number]
        self.notes.append(f"Column {column.name[:80]!r} is not read: {why}.")
        column.name = ""

    def finish(self, target: Path) -> None:
        """Complete the files and move them to `target`."""
        for number, column in enumerate(self.columns):
            self._finish(number, column)
        index = {
            "rows": self.rows, "skipped": self.skipped, "faults": self.faults, "notes": self.notes,
            "classes": self.classes, "class_column": self.class_column,
            "columns": [asdict(column) for column in self.columns],
        }  # fmt: skip
        (self.folder / INDEX).write_text(json.dumps(index))
        self.folder.replace(target)

    def _finish(self, number: int, column: Written) -> None:
        missing = self._missing_of(number)
        (self.folder / f"{number}.missing").write_bytes(missing.tobytes())
        if column.kind == "numbers" and len(missing) and column.name:
            self._with_nan(number, column, missing)
        elif column.kind == "lists" and column.name and self.rows:
            lists = self.mapped(number)
            assert isinstance(lists, MappedLists)
            lengths = lists.at.lengths
            if not len(missing) and (lengths == lengths[0]).all():
                column.kind, column.inner = "numbers", [int(lengths[0]), *column.inner]

    def _with_nan(self, number: int, column: Written, missing: Array) -> None:
        if not column.dtype.startswith("float"):
            self.replace(number, "float64", lambda old, rows: (_selected(old, rows), np.zeros(0, bool)))
        values = np.memmap(self.folder / f"{number}.values", self.columns[number].dtype, "r+")
        values[missing] = np.nan
        values.flush()

    def _missing_of(self, number: int) -> Array:
        return np.concatenate([np.zeros(0, np.int64), *self._missing.get(number, ())])

    def _note_missing(self, number: int, missing: Array, start: int | None = None) -> None:
        if missing.any():
            first = self.rows if start is None else start
            self._missing.setdefault(number, []).append(np.flatnonzero(missing) + first)

    def _append_ends(self, number: int, lengths: Array, missing: Array) -> None:
        self._note_missing(number, missing)
        ends = self._ends.get(number, 0) + np.cumsum(lengths, dtype=np.int64)
        self._ends[number] = int(ends[-1]) if len(ends) else self._ends.get(number, 0)
        self._append(number, "ends", ends)

    def _append(self, number: int, what: str, values: Array) -> None:
        self._write(self.folder / f"{number}.{what}", values)

    def _write(self, path: Path, values: Array) -> None:
        self.allowed -= values.nbytes
        if self.allowed < 0:
            raise Refusal(
                "unsafe_archive",
                f"The table unpacks to more than is allowed: {MAX_RATIO} times its size, and not more than any "
                "dataset may take. Upload fewer rows, or write it less compressed.",
            )
        with path.open("ab") as file:
            file.write(values.tobytes())


def written_once(
    target: Path, size: int, max_unpacked_bytes: int, write: Callable[[ColumnFiles], None]
) -> Table:
    """Open the table in `target`, written by `write` where it is not there yet; `size` is that of the upload."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=target.parent))
        try:
            files = ColumnFiles(folder, min(max_unpacked_bytes, max(MAX_RATIO * size, ANY_RATIO_BYTES)))
            write(files)
            files.finish(target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return _opened(target)


def _opened(folder: Path) -> Table:
    index = json.loads((folder / INDEX).read_text())
    columns = {}
    for number, fields in enumerate(index["columns"]):
        column = Written(**fields)
        if column.name:
            missing = np.fromfile(folder / f"{number}.missing", np.int64)
            columns[column.name] = _column(folder, number, column, index["rows"], missing)
    return Table(
        columns,
        index["classes"],
        index.get("class_column", "label"),
        skipped=index["skipped"],
        notes=index["notes"],
        faults=index["faults"],
    )


def _column(folder: Path, number: int, column: Written, rows: int, missing: Array) -> Column:
    values = folder / f"{number}.values"
    if column.kind == "numbers":
        return _map(values, column.dtype, (rows, *column.inner))
    ends = _map(folder / f"{number}.ends", "int64", (rows,))
    at = Ends(column.name, ends, missing)
    length = int(ends[-1]) if rows else 0
    if column.kind == "lists":
        return MappedLists(at, _map(values, column.dtype, (length, *column.inner)))
    blob = _map(values, "uint8", (length,))
    return MappedTexts(at, blob) if column.kind == "text" else MappedFiles(at, blob, column.kind)


def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> Array:
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", shape=shape))


def _selected(old: Column, rows: range) -> Array:
    assert isinstance(old, np.ndarray)
    return old[rows.start : rows.stop]
