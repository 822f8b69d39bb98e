"""Reads lines of JSON, an object a row, into files of columns. What a column is follows from all of its rows: integers
that turn into reals are reals, numbers that turn into words are words."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from winnow.contract.declaration import MAX_COLUMNS
from winnow.contract.errors import Refusal
from worker.compression.data.formats.tables.column_files import ColumnFiles

MAX_LINE_BYTES: Final = 2**24
BLOCK_BYTES: Final = 2**21
Value = Any
Kind = Literal["nothing", "bool", "int", "float", "text", "lists", "other"]
INT64: Final = range(-(2**63), 2**63)


@dataclass
class Seen:
    """What a column has been so far; `leaf` of lists, and `inner` the shape of a list's entries."""

    kind: Kind = "nothing"
    leaf: Kind = "nothing"
    inner: tuple[int, ...] | None = None

    def add(self, value: Value) -> None:
        kind = kind_of(value)
        if kind == "lists":
            self._add_list(value)
        self.kind = _joined(self.kind, kind)

    def _add_list(self, value: list[Value]) -> None:
        try:
            array = np.array(value) if value else np.zeros(0, bool)
        except ValueError:
            self.kind = "other"
            return
        leaf = {"b": "bool", "i": "int", "f": "float"}.get(array.dtype.kind, "other")
        self.leaf = _joined(self.leaf, leaf if array.size else "nothing")  # type: ignore[arg-type]
        if value:
            if self.inner not in (None, array.shape[1:]):
                self.kind = "other"
            self.inner = array.shape[1:]


def kind_of(value: Value) -> Kind:
    match value:
        case None:
            return "nothing"
        case bool():
            return "bool"
        case int():
            return "int" if value in INT64 else "float"
        case float():
            return "float"
        case str():
            return "text"
        case list():
            return "lists"
        case _:
            return "other"


def _joined(a: Kind, b: Kind) -> Kind:
    if "nothing" in (a, b) or a == b:
        return b if a == "nothing" else a
    numbers: list[Kind] = ["bool", "int", "float"]
    if a in numbers and b in numbers:
        return max(a, b, key=numbers.index)
    return "text" if {a, b} <= {*numbers, "text"} else "other"


def write_jsonl(paths: Sequence[Path], files: ColumnFiles) -> None:
    """Append the rows of files of JSON lines. Refuses with `invalid_dataset`, `unsafe_archive`."""
    seen: dict[str, Seen] = {}
    for _, row in _rows(paths, None):
        for name, value in row.items():
            if name not in seen and len(seen) >= MAX_COLUMNS:
                raise _broken(f"its rows have more than {MAX_COLUMNS} names")
            seen.setdefault(name, Seen()).add(value)
    numbers = {name: _add(files, name, column) for name, column in seen.items()}
    for block in _blocks(_rows(paths, files)):
        for name, number in numbers.items():
            if number is not None:
                _write(files, number, [row.get(name) for row in block], seen[name])
        files.rows += len(block)


def _add(files: ColumnFiles, name: str, column: Seen) -> int | None:
    match column.kind:
        case "bool" | "int" | "float":
            return files.add(name, "numbers", _dtype(column.kind))
        case "text":
            return files.add(name, "text")
        case "lists" if column.leaf != "other":
            return files.add(name, "lists", _dtype(column.leaf))
        case _:
            files.notes.append(
                f"Column {name[:80]!r} is not read: it has no values, or others than numbers, lists of numbers, text."
            )
            return None


def _write(files: ColumnFiles, number: int, values: list[Value], column: Seen) -> None:
    missing = np.array([value is None for value in values], bool)
    match files.columns[number].kind:
        case "numbers":
            plain = [0 if value is None else value for value in values]
            files.numbers(number, np.array(plain, _dtype(column.kind)), missing)
        case "lists":
            lengths = np.array([len(value or ()) for value in values], np.int64)
            flat = [entry for value in values for entry in value or ()]
            shape = (len(flat), *(column.inner or ()))
            files.lists(number, lengths, np.array(flat, _dtype(column.leaf)).reshape(shape), missing)
        case _:
            encoded = [_text(value).encode() for value in values]
            lengths = np.array([len(text) for text in encoded], np.int64)
            files.blobs(number, lengths, np.frombuffer(b"".join(encoded), np.uint8), missing)


def _text(value: Value) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _dtype(kind: Kind) -> str:
    return {"bool": "bool", "int": "int64", "nothing": "float32"}.get(kind, "float64")


def _blocks(rows: Iterator[tuple[int, dict[str, Value]]]) -> Iterator[list[dict[str, Value]]]:
    block, size = [], 0
    for length, row in rows:
        block.append(row)
        size += length
        if size > BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _rows(paths: Sequence[Path], files: ColumnFiles | None) -> Iterator[tuple[int, dict[str, Value]]]:
    """Yield each row that can be read, with the length of its line; faults go to `files`, where there are some."""
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda file=file: file.readline(MAX_LINE_BYTES + 1), b""), 1):  # type: ignore[misc]
                if len(line) > MAX_LINE_BYTES:
                    raise _broken(f"line {number} of it is longer than {MAX_LINE_BYTES} bytes")
                if not line.strip():
                    continue
                row = _row(line)
                if isinstance(row, dict):
                    yield len(line), row
                elif files is not None:
                    files.fault(f"{path.name[:80]}, line {number}: {row}")


def _row(line: bytes) -> dict[str, Value] | str:
    """Parse one line; a clause that says why not, where it is no row."""
    try:
        text = line.decode()
        row = json.loads(text)
        json.dumps(row, ensure_ascii=False).encode() if "\\u" in text else None
    except UnicodeError:
        return "it is no UTF-8"
    except RecursionError:
        return "it is nested too deep"
    except ValueError as error:
        return f"it is no JSON ({str(error)[:80]})"
    if not isinstance(row, dict):
        return "it is no object of names and values"
    return "it has a NUL character" if "\\u0000" in text and "\\u0000" in json.dumps(row) else row


def _broken(why: str) -> Refusal:
    return Refusal(
        "invalid_dataset",
        f"The file of JSON lines cannot be read: {why}. Expected is an object of names and values on each line.",
    )
