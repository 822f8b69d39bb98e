"""Boxes from COCO's JSON: `images`, `annotations` and `categories`, each `bbox` left, top, width, height in pixels.

Categories are numbered from 0 in the order of their ids, as YOLOX and torchvision's references do. Crowds (`iscrowd`)
are regions, not objects, and left out. Pictures that no `images` entry names are left out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from winnow.contract.errors import Refusal
from worker.compression.data.formats.annotations.annotated import Annotated, Content, flat_boxes
from worker.compression.data.formats.annotations.boxes import Box, box_of
from worker.compression.data.formats.annotations.paths import Pictures
from worker.compression.data.readable.skipping import Faults
from worker.compression.data.table import Boxes

MAX_BYTES: Final = 256 * 2**20
LISTS: Final = ("images", "annotations", "categories")
NEEDED: Final = frozenset({"id", "image_id", "category_id", "bbox", "iscrowd", "file_name", "name", *LISTS})
"""All else (polygons, licences) is dropped while the text is parsed: it would be most of the memory."""


def read_coco(pictures: Sequence[str], others: Sequence[str], content: Content) -> Annotated | None:
    """Read the archive's COCO files; None where it has none. `instances_….json` come before any others."""
    files = [name for name in others if name.endswith(".json")]
    files = [name for name in files if name.rsplit("/", 1)[-1].startswith("instances")] or files
    parts = {
        name: part for name in files if (part := _parsed(content(name, limit=MAX_BYTES), name)) is not None
    }
    if not parts:
        return None
    faults = Faults()
    numbers, classes = _categories(parts)
    known, rows = Pictures(pictures), dict[str, list[Box]]()
    for file, part in parts.items():
        _read_part(file, part, known, numbers, rows, faults)
    names = sorted(rows)
    ignored = len(pictures) - len(names)
    notes = [f"{ignored} pictures are in no COCO file and left out."] if ignored > 0 else []
    boxes = Boxes(flat_boxes([rows[name] for name in names]))
    return Annotated("coco", names, {"boxes": boxes}, classes, faults, notes)


def _parsed(text: bytes, name: str) -> dict[str, Any] | None:
    """The JSON's three lists; None where it is something else."""
    try:
        value = json.loads(text, object_hook=lambda each: {k: v for k, v in each.items() if k in NEEDED})
    except (ValueError, RecursionError) as error:
        raise Refusal("invalid_dataset", f"{name[:200]!r} is no valid JSON: {error}.") from error
    if not isinstance(value, dict) or not all(isinstance(value.get(key), list) for key in LISTS):
        return None
    return value


def _categories(parts: Mapping[str, dict[str, Any]]) -> tuple[dict[int, int], list[str]]:
    """Class numbers by id, and the classes' names in their order."""
    by_id: dict[int, str] = {}
    for file, part in parts.items():
        for row, category in enumerate(part["categories"]):
            id, name = (
                (category.get("id"), category.get("name")) if isinstance(category, dict) else (None, None)
            )
            if not isinstance(id, int) or not isinstance(name, str) or by_id.setdefault(id, name) != name:
                raise Refusal(
                    "invalid_dataset",
                    f"{file[:200]!r}, category {row}: an id and a name were expected, the same in every file.",
                )
    ids = sorted(by_id)
    return {id: number for number, id in enumerate(ids)}, [by_id[id] for id in ids]


def _read_part(
    file: str,
    part: dict[str, Any],
    known: Pictures,
    numbers: Mapping[Any, int],
    rows: dict[str, list[Box]],
    faults: Faults,
) -> None:
    """Add the pictures of one file, and what lies on them. A picture with a bad annotation is no row."""
    names = _images(file, part["images"], known, faults)
    objects: dict[str, list[Box]] = {name: [] for name in names.values()}
    bad = set()
    for row, each in enumerate(part["annotations"]):
        if not isinstance(each, dict) or not _is_id(each.get("image_id")) or each["image_id"] not in names:
            id = each.get("image_id") if isinstance(each, dict) else each
            faults.add(
                f"{file} annotation {row}", f"its image_id {str(id)[:40]!r} is of no picture of the archive"
            )
            continue
        name = names[each["image_id"]]
        box, why = _box(each, numbers)
        if why and name not in bad:
            faults.add(f"{file} annotation {row} ({name})", why)
            bad.add(name)
        elif box is not None:
            objects[name].append(box)
    rows.update({name: boxes for name, boxes in objects.items() if name not in bad})


def _images(file: str, images: Sequence[Any], known: Pictures, faults: Faults) -> dict[Any, str]:
    """Names in the archive by the ids of pictures."""
    names: dict[Any, str] = {}
    for row, image in enumerate(images):
        id, path = (image.get("id"), image.get("file_name")) if isinstance(image, dict) else (None, None)
        name = known.name(file, path) if isinstance(path, str) else None
        if not _is_id(id) or name is None:
            faults.add(
                f"{file} image {row}", f"its file_name {str(path)[:200]!r} is not in the archive, or not once"
            )
        elif id in names:
            faults.add(f"{file} image {row}", f"its id {id} is that of another picture too")
        else:
            names[id] = name
    return names


def _is_id(value: object) -> bool:
    return isinstance(value, int | str)


def _box(each: dict[str, Any], numbers: Mapping[Any, int]) -> tuple[Box | None, str | None]:
    """The box, or why there is none; neither for crowds."""
    if each.get("iscrowd"):
        return None, None
    category = each.get("category_id")
    if not _is_id(category) or category not in numbers:
        return None, f"its category_id {str(category)[:40]!r} is among no categories"
    corner = each.get("bbox")
    if not isinstance(corner, list) or len(corner) != 4:
        return None, f"its bbox is {str(corner)[:80]}, four numbers were expected"
    try:
        left, top, width, height = map(float, corner)
        return box_of(numbers[category], left, top, left + width, top + height), None
    except (TypeError, ValueError, OverflowError) as error:
        return None, f"its bbox is {corner}: {error}"
