"""Boxes from YOLO's text files: a line for each object, `class cx cy width height`, in parts of the picture's sides.

    images/…/x.jpg  labels/…/x.txt      or the text beside the picture; no text: a picture without objects
    data.yaml (names:), classes.txt, obj.names: the classes' names, a line each

Lines with more numbers are polygons (`class x1 y1 x2 y2 …`); their box is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import yaml

from winnow.contract.errors import Refusal
from worker.compression.data.formats.annotations.annotated import Annotated, Content, FlatBoxes, flat_boxes
from worker.compression.data.formats.annotations.boxes import Box, box_of
from worker.compression.data.formats.annotations.paths import counterparts
from worker.compression.data.pictures.decode import stored_size
from worker.compression.data.readable.skipping import Faults
from worker.compression.data.table import Boxes, Column, Files
from worker.compression.ir.arrays import Array

MAX_BYTES: Final = 2**20
LISTS: Final = ("classes.txt", "obj.names", "names.txt")
MAX_CLASSES: Final = 100_000


def read_yolo(pictures: Sequence[str], others: Sequence[str], content: Content) -> Annotated | None:
    """Read the archive's YOLO files; None where no text belongs to a picture. Boxes are in parts of the sides yet."""
    texts = {name for name in others if name.endswith(".txt")}
    owned = {picture: text for picture in pictures if (text := _text_of(picture, texts)) is not None}
    if not owned:
        return None
    classes = _classes(others, content)
    faults, names, rows = Faults(), [], []
    for picture in pictures:
        boxes: list[Box] | None = []
        if picture in owned:
            boxes = _boxes(owned[picture], content, classes, faults)
        if boxes is not None:
            names.append(picture)
            rows.append(boxes)
    return Annotated("yolo", names, {"boxes": Boxes(flat_boxes(rows))}, classes, faults)


@dataclass(frozen=True)
class InPixels(Sequence[Array]):
    """Boxes in parts of the sides, in pixels of their picture, whose header is read with them."""

    parts: FlatBoxes
    files: Files

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        boxes = self.parts[row]
        if not len(boxes):
            return boxes
        height, width = stored_size(self.files.content(row))
        return boxes * np.array([1, width, height, width, height], np.float32)


def in_pixels(annotated: Annotated, files: Files) -> Mapping[str, Column]:
    """Return the columns, boxes in pixels of their pictures."""
    boxes = annotated.columns.get("boxes")
    if annotated.source != "yolo" or not isinstance(boxes, Boxes) or not isinstance(boxes.rows, FlatBoxes):
        return annotated.columns
    return {**annotated.columns, "boxes": Boxes(InPixels(boxes.rows, files))}


def _text_of(picture: str, texts: set[str]) -> str | None:
    beside = picture.rsplit(".", 1)[0] + ".txt"
    return next(
        (name for name in (*counterparts(picture, ("labels",), ".txt"), beside) if name in texts), None
    )


def _boxes(file: str, content: Content, classes: list[str] | None, faults: Faults) -> list[Box] | None:
    """The objects of one picture; None where a line cannot be read."""
    lines = content(file, limit=MAX_BYTES).decode("utf-8", "replace").splitlines()
    boxes = []
    for row, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            boxes.append(_box(line.split(), classes))
        except ValueError as error:
            faults.add(f"{file} line {row + 1}", str(error))
            return None
    return boxes


def _box(words: list[str], classes: list[str] | None) -> Box:
    if len(words) < 5 or (len(words) > 5 and len(words) % 2 == 0):
        raise ValueError(f"{' '.join(words)[:80]!r} is no line of class, cx, cy, width and height")
    number, numbers = int(words[0]), [float(word) for word in words[1:]]
    if number < 0 or number >= (MAX_CLASSES if classes is None else len(classes)):
        raise ValueError(
            f"class {number} has no name" if classes is not None else f"class {number} is out of range"
        )
    if len(numbers) == 4:
        x, y, width, height = numbers
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    else:
        xs, ys = numbers[::2], numbers[1::2]
        corners = min(xs), min(ys), max(xs), max(ys)
    if max(map(abs, corners)) > 2:
        raise ValueError(f"{' '.join(words)[:80]!r} is not in parts of the picture's sides, from 0 to 1")
    return box_of(number, *corners)


def _classes(others: Sequence[str], content: Content) -> list[str] | None:
    for name in sorted(others, key=lambda name: (name.count("/"), name)):
        own = name.rsplit("/", 1)[-1]
        if own in LISTS:
            lines = content(name, limit=MAX_BYTES).decode("utf-8", "replace").splitlines()
            return [line.strip() for line in lines if line.strip()]
        if own.endswith((".yaml", ".yml")):
            classes = _from_yaml(name, content(name, limit=MAX_BYTES))
            if classes is not None:
                return classes
    return None


def _from_yaml(file: str, text: bytes) -> list[str] | None:
    """The list `names`, or the mapping from numbers to names; None without either."""
    try:
        value: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refusal("invalid_dataset", f"{file[:200]!r} is no valid YAML: {str(error)[:200]}.") from error
    names = value.get("names") if isinstance(value, dict) else None
    if isinstance(names, dict):
        numbers = sorted(names) if all(isinstance(key, int) for key in names) else []
        if numbers != list(range(len(names))):
            raise Refusal(
                "invalid_dataset", f"{file[:200]!r}: names should be numbered from 0 without a gap."
            )
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or len(names) > MAX_CLASSES:
        return None
    return [str(name)[:1000] for name in names]
