"""Read a small table of text, CSV or JSONL, row by row."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from winnow.contract.errors import Refusal


def rows_of_text(file: str, content: bytes) -> tuple[list[str], Iterator[Mapping[str, Any]]]:
    """Return the names of the columns, and the rows. Raises `Refusal` `invalid_dataset` naming file and row."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(file, 0, "it is no UTF-8") from error
    return _of_csv(file, text) if file.endswith(".csv") else _of_jsonl(file, text)


def _of_csv(file: str, text: str) -> tuple[list[str], Iterator[Mapping[str, Any]]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(_csv_rows(file, rows), [])
    if len(set(header)) != len(header):
        raise _refused(file, 0, "a column stands twice in its header")
    return header, _fitting(file, header, _csv_rows(file, rows))


def _csv_rows(file: str, rows: Any) -> Iterator[list[str]]:
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise _refused(file, rows.line_num, str(error)) from error
        if row is None:
            return
        if row:
            yield row


def _fitting(file: str, header: list[str], rows: Iterator[list[str]]) -> Iterator[dict[str, str]]:
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise _refused(file, number, f"it has {len(row)} columns, {len(header)} were expected")
        yield dict(zip(header, row, strict=True))


def _of_jsonl(file: str, text: str) -> tuple[list[str], Iterator[Mapping[str, Any]]]:
    lines = [line for line in text.splitlines() if line.strip()]
    header = list(_object(file, 0, lines[0])) if lines else []
    return header, _objects(file, header, lines)


def _objects(file: str, header: list[str], lines: list[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines):
        row = _object(file, number, line)
        if row.keys() != set(header):
            raise _refused(file, number, f"its keys are {list(row)[:20]}, {header[:20]} were expected")
        yield row


def _object(file: str, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _refused(file, number, f"it is no valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise _refused(file, number, "an object was expected")
    return value


def _refused(file: str, row: int, why: str) -> Refusal:
    return Refusal("invalid_dataset", f"{file[:200]!r}, row {row}: {why}. Mend it and upload again.")
