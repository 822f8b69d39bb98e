"""Reads CSV, block by block, into files of columns: first everything as text, then as numbers what is numbers in the
whole file, not only in its beginning."""

import csv as python_csv
import io
from array import array as compact
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from winnow.contract.errors import Refusal
from worker.compression.data.formats.tables.arrow import blobs_of, numbers_of
from worker.compression.data.formats.tables.column_files import ColumnFiles
from worker.compression.data.formats.tables.mapped import MappedTexts
from worker.compression.data.formats.tables.utf8_file import as_utf8
from worker.compression.data.table import Column
from worker.compression.ir.arrays import Array

BLOCK_BYTES: Final = 2**22
"""Also the longest line: what is longer is refused in constant memory."""
DELIMITERS: Final = ",;\t|"
HEAD_BYTES: Final = 2**16
NOTHING: Final = pa.array(["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"])
"""What stands for no number where all else is numbers."""
NUMBERS: Final = (pa.int64(), pa.float64(), pa.bool_())
"""What a column is read as, the first that all of its values are; else it is text."""


def write_csv(paths: Sequence[Path], files: ColumnFiles) -> None:
    """Append the rows of CSV files with one header. Refuses with `invalid_dataset`, `unsafe_archive`."""
    kinds: list[list[pa.DataType]] = []
    for path in paths:
        with as_utf8(path, files.folder) as text:
            header = _header(text)
            blank = count(1)
            names = [name or f"unnamed {next(blank)}" for name in header]
            if not kinds:
                kinds = [list(NUMBERS) for _ in names]
                for name in names:
                    files.add(name, "text")
            elif names != [column.name for column in files.columns]:
                raise _broken(f"the header of {path.name[:80]!r} differs from that of the files before it")
            _Reading(text, path.name, header, files, kinds).run()
    for number, kept in enumerate(kinds):
        if kept and files.rows:
            _as_numbers(files, number, kept[0])


def delimiter_of(head: bytes) -> str:
    """The character that stands most often in the first line, outside of quotes."""
    line = b"".join(head.split(b'"')[::2]).split(b"\n", 1)[0]
    return max(DELIMITERS, key=lambda character: line.count(character.encode()))


class _Reading:
    """One file. Rows are numbered as people count them: the header is row 1, empty lines are none."""

    def __init__(
        self, path: Path, name: str, names: list[str], files: ColumnFiles, kinds: list[list[pa.DataType]]
    ) -> None:
        self._path, self._name, self._names = path, name[:80], names
        self._files, self._kinds = files, kinds
        self._invalid = compact("q")
        self._read = 0

    def run(self) -> None:
        options = csv.ConvertOptions(
            column_types={name: pa.string() for name in self._names}, strings_can_be_null=False
        )
        try:
            reader = _reader(self._path, self._skip, options)
            if reader.schema.names != self._names:
                raise _broken("its header can be read in two ways: quote the names in it")
            try:
                for batch in reader:
                    self._write(batch)
            except Refusal:
                for _ in reader:  # a reader that is left before its end crashes now and then (pyarrow 26)
                    pass
                raise
        except pa.ArrowException as error:
            raise _broken(_reason(error)) from error

    def _skip(self, row: csv.InvalidRow) -> str:
        self._invalid.append(row.number)
        what = f"has {row.actual_columns} values, and the header {row.expected_columns}"
        self._files.fault(f"{self._name}, row {row.number}: it {what}")
        return "skip"

    def _write(self, batch: pa.RecordBatch) -> None:
        columns = [_text(column) for column in batch.columns]
        bad = sorted({at for _, rows in columns for at in rows})
        for at in bad:
            where = f"row {self._number(at)}" if self._files.tells_more else "a row"
            self._files.fault(f"{self._name}, {where}: it is no UTF-8, or has a NUL byte")
        good = np.delete(np.arange(batch.num_rows), bad)
        for number, (column, _) in enumerate(columns):
            texts = column if not bad else column.take(pa.array(good))
            self._narrow(number, texts)
            self._files.blobs(number, *blobs_of(texts), np.zeros(len(texts), bool))
        self._files.rows += len(good)
        self._read += batch.num_rows

    def _narrow(self, number: int, texts: pa.Array) -> None:
        """Give up the kinds of numbers that these texts are not."""
        kinds = self._kinds[number]
        while kinds and _cast(texts, kinds[0]) is None:
            kinds.pop(0)

    def _number(self, at: int) -> int:
        """Count in the rows that Arrow left out before this one."""
        number = self._read + at + 2
        for invalid in self._invalid:
            number += invalid <= number
        return number


def _reader(
    path: Path, skip: Callable[[csv.InvalidRow], str], options: csv.ConvertOptions | None = None
) -> csv.CSVStreamingReader:
    with path.open("rb") as file:
        delimiter = delimiter_of(file.read(HEAD_BYTES))
    return csv.open_csv(
        path,
        csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
        options,
    )


def _header(path: Path) -> list[str]:
    """Read the names by Python's reader: Arrow's, left before its end, has threads that outlive it."""
    with path.open("rb") as file:
        head = file.read(BLOCK_BYTES)
    rows = python_csv.reader(
        io.StringIO(head.decode("utf-8-sig", "ignore"), newline=""), delimiter=delimiter_of(head[:HEAD_BYTES])
    )
    try:
        names = next((row for row in rows if row), [])
    except python_csv.Error as error:
        raise _broken(str(error)) from error
    if not names:
        raise _broken("Empty CSV file")
    if any("\0" in name for name in names):
        raise _broken("its header is no UTF-8, or has a NUL byte")
    return names


def _text(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """Return the column as text, and the rows that are none."""
    texts = column.cast(pa.large_utf8())
    return texts, np.flatnonzero(pc.match_substring(texts, "\0")).tolist()


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    nothing = pc.is_in(texts, NOTHING.cast(texts.type))
    try:
        return pc.if_else(nothing, pa.scalar(None, texts.type), texts).cast(kind)
    except pa.ArrowInvalid:
        return None


def _as_numbers(files: ColumnFiles, number: int, kind: pa.DataType) -> None:
    def convert(old: Column, rows: range) -> tuple[Array, Array]:
        assert isinstance(old, MappedTexts)
        offsets, content = old.buffers(rows)
        texts = pa.LargeStringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(content))
        numbers = _cast(texts, kind)
        assert numbers is not None
        return numbers_of(numbers), np.asarray(numbers.is_null())

    files.replace(number, str(np.dtype(kind.to_pandas_dtype()).name), convert)


def _reason(error: Exception) -> str:
    if "straddling" in str(error):
        return f"a row of it is longer than {BLOCK_BYTES} bytes, or a quote in it is not closed"
    return str(error)[:200]


def _broken(why: str) -> Refusal:
    return Refusal(
        "invalid_dataset",
        f"The CSV file cannot be read: {why}. Expected are a header and rows of as many values, in UTF-8.",
    )
