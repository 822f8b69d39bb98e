"""Pictures with a table: `labels.csv`, or `metadata.csv`, `metadata.jsonl` as Hugging Face's imagefolder has them.

One column names the picture, from the table's own folder or by any end of its path: the first that does so in the
first row. The others are columns of the dataset. The classes are those of `label` (or what it is called, or the only
other column): numbers as they are, words numbered in their order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np

from winnow.contract.errors import Refusal
from worker.compression.data.formats.annotations.annotated import Annotated, Content, flat_boxes
from worker.compression.data.formats.annotations.boxes import Box
from worker.compression.data.formats.annotations.objects import COLUMN as OBJECTS
from worker.compression.data.formats.annotations.objects import boxes_of
from worker.compression.data.formats.annotations.paths import Pictures
from worker.compression.data.formats.annotations.rows_of_text import rows_of_text
from worker.compression.data.readable.skipping import Faults
from worker.compression.data.table import Boxes, Column, Source, Words
from worker.compression.ir.arrays import Array

MAX_BYTES: Final = 256 * 2**20
FILE_COLUMNS: Final = (
    "file_name",
    "filename",
    "file",
    "image",
    "path",
    "filepath",
    "image_path",
    "image_id",
    "id",
)
LABEL_COLUMNS: Final = ("label", "labels", "class", "category", "target")
MASK_COLUMNS: Final = ("mask", "mask_file_name", "mask_file", "mask_path")


@dataclass
class _Listed:
    """Rows of all tables: the pictures, their masks and objects where they have some, and the values of the columns."""

    names: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    objects: list[list[Box]] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)


def read_listed(
    pictures: Sequence[str], others: Sequence[str], content: Content
) -> tuple[Annotated, list[str] | None] | None:
    """Read the archive's tables and the masks that they name; None where no table has a column of pictures."""
    known = Pictures(pictures)
    listed, columns = _Listed(), None
    for table in (name for name in others if name.endswith((".csv", ".jsonl"))):
        header, rows = rows_of_text(table, content(table, limit=MAX_BYTES))
        first = next(rows, None)
        file = first and _file_column(table, header, first, known)
        if first is None or not file:
            continue
        if columns not in (None, header):
            raise Refusal(
                "invalid_dataset",
                f"The tables of the archive differ in their columns: {columns} and {header}.",
            )
        columns = header
        _read_rows(table, chain([first], rows), file, known, listed)
    if columns is None:
        return None
    return _annotated(listed), listed.masks or None


def _file_column(table: str, header: list[str], first: Mapping[str, Any], known: Pictures) -> str | None:
    """The column that names a picture in the first row, the usual names before others; else the first usual name."""
    usual = [name for name in FILE_COLUMNS if name in header]
    names = (name for name in [*usual, *header] if known.name(table, str(first[name])) is not None)
    return next(names, usual[0] if usual else None)


def _read_rows(
    table: str, rows: Iterable[Mapping[str, Any]], file: str, known: Pictures, listed: _Listed
) -> None:
    for number, row in enumerate(rows):
        mask = next((name for name in MASK_COLUMNS if name in row), None)
        files = [known.name(table, str(row[column])) for column in (file, mask) if column is not None]
        if None in files:
            said = row[file] if files[0] is None else row[mask or file]
            listed.faults.add(
                f"{table} row {number}", f"{str(said)[:200]!r} is not in the archive, or not once"
            )
            continue
        try:
            listed.objects += [boxes_of(row[OBJECTS])] if OBJECTS in row else []
        except ValueError as error:
            listed.faults.add(f"{table} row {number}", str(error))
            continue
        picture, *masks = files
        listed.names.append(str(picture))
        listed.masks += map(str, masks)
        for column, value in row.items():
            if column not in (file, mask, OBJECTS):
                listed.values.setdefault(column, []).append(value)


def _annotated(listed: _Listed) -> Annotated:
    columns: dict[str, Column] = {}
    notes = []
    for name, values in listed.values.items():
        column = _column(values)
        if column is None:
            notes.append(f"Column {name!r} has lists or objects and is not read.")
        elif name not in ("image", "mask", "boxes"):
            columns[name] = column
    label = next((name for name in LABEL_COLUMNS if name in columns), "")
    if not label and len(columns) == 1:
        label = next(iter(columns.keys()))
    classes = None
    if label:
        columns["label"], classes = _classes(columns[label])
    if listed.objects:
        columns["boxes"] = Boxes(flat_boxes(listed.objects))
    source: Source = "coco" if listed.objects else "column"
    return Annotated(source, listed.names, columns, classes, listed.faults, notes)


def _column(values: Sequence[Any]) -> Column | None:
    """Whole numbers, numbers (NaN where nothing stands), or words; None for lists and objects."""
    if any(isinstance(value, list | dict) for value in values):
        return None
    try:
        return np.array([_whole(value) for value in values], np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        return np.array([float("nan") if value in ("", None) else float(value) for value in values])
    except (ValueError, OverflowError):
        return Words(["" if value is None else str(value) for value in values])


def _whole(value: Any) -> int:
    if isinstance(value, float) or value is None:
        raise ValueError
    return int(value)


def _classes(column: Column) -> tuple[Column, list[str] | None]:
    if not isinstance(column, Words):
        return column, None
    classes, numbers = np.unique(np.array(column.words, object), return_inverse=True)
    labels: Array = numbers.astype(np.int64)
    return labels, list(classes)
