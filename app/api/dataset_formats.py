"""What a dataset's bytes are, where they are no `.npz`: told by signatures, and of text by its first lines."""

import csv
import json
import os
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from winnow.contract.dataset import DatasetFormat

HEAD_BYTES: Final = 2**16
DELIMITERS: Final = ",;\t|"
"""The worker takes the one that stands most often in the first line."""
COLUMN_NAME: Final = re.compile(r'"?[^\W\d][\w .\-]{0,63}"?')
"""What the only column of a CSV is called: a text of one column is else like any other text."""
CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")
"""What no text has, and most of what only happens to be UTF-8."""
DATA_FILES: Final = frozenset({
    ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".npz", ".npy", ".wav", ".flac",
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff",
})  # fmt: skip


def binary_format(file: BinaryIO, head: bytes) -> DatasetFormat | None:
    """The format of an array, a table or a sound in binary; None where the bytes are none of these."""
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PAR1") and _tail(file, 4) == b"PAR1":
        return "parquet"
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "wav"
    return "flac" if head.startswith(b"fLaC") else None


def text_format(file: BinaryIO) -> DatasetFormat | None:
    """`csv` or `jsonl` where the first lines are UTF-8 and of one shape; None for other text, and for no text."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    try:
        text = _whole_characters(head).decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = text.splitlines(keepends=True)
    if len(head) == HEAD_BYTES and len(lines) > 1:
        lines.pop()
    if not text.strip() or CONTROL.search(text):
        return None
    if text.lstrip().startswith("{"):
        return "jsonl" if _are_objects(lines, cut=len(head) == HEAD_BYTES) else None
    return "csv" if _is_csv(lines) else None


def holds_data(names: Iterable[str]) -> bool:
    """Whether an archive with these members is a dataset."""
    return any(PurePosixPath(name).suffix.lower() in DATA_FILES for name in names)


def _are_objects(lines: list[str], *, cut: bool) -> bool:
    """Whether the first line is an object, as far as it was read: a JSON text over several lines is none."""
    first = next(line for line in lines if line.strip())
    try:
        return isinstance(json.loads(first), dict)
    except RecursionError:
        return False
    except json.JSONDecodeError as error:
        ends_early = error.pos >= len(first) - 1 or error.msg.startswith("Unterminated")
        return cut and len(lines) == 1 and ends_early
    except ValueError:  # a number of too many digits
        return False


def _is_csv(lines: list[str]) -> bool:
    """Whether there is a header of several columns, or one that looks like a name, and a row that has as many."""
    delimiter = max(DELIMITERS, key=lines[0].count)
    try:
        rows = [row for row in csv.reader(lines[:100], delimiter=delimiter) if row]
    except csv.Error:
        return False
    if len(rows) < 2:
        return False
    width = len(rows[0])
    if width == 1:
        return COLUMN_NAME.fullmatch(lines[0].strip()) is not None
    return sum(len(row) == width for row in rows) * 2 > len(rows)


def _whole_characters(head: bytes) -> bytes:
    """Cut off a character of which only the beginning was read."""
    for length in range(1, min(4, len(head) + 1)):
        if head[-length] >= 0xC0:
            return head[:-length]
        if head[-length] < 0x80:
            break
    return head


def _tail(file: BinaryIO, length: int) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - length))
    return file.read(length)
