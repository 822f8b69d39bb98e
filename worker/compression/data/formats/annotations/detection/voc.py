"""Boxes from Pascal VOC's XML, one file a picture: `object` with `name` and `bndbox`.

Its pixels are counted from 1 and the last one belongs to the box: left and top are xmin - 1 and ymin - 1 (detectron2
reads them so). Classes are numbered in the order of their names, which for VOC itself is the order of everybody.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from worker.compression.data.formats.annotations.annotated import Annotated, Content, flat_boxes
from worker.compression.data.formats.annotations.boxes import box_of
from worker.compression.data.formats.annotations.detection.plain_xml import BadXml, Element, parse_xml
from worker.compression.data.formats.annotations.paths import Pictures
from worker.compression.data.readable.skipping import Faults
from worker.compression.data.table import Boxes

MAX_BYTES: Final = 2**20

Named = tuple[str, tuple[float, float, float, float]]
"""A class and a box."""


def read_voc(pictures: Sequence[str], others: Sequence[str], content: Content) -> Annotated | None:
    """Read the archive's VOC files; None where it has none. Pictures without one are left out."""
    files = [name for name in others if name.lower().endswith(".xml")]
    if not files:
        return None
    known = Pictures(pictures)
    faults, rows = Faults(), dict[str, list[Named]]()
    for file in files:
        try:
            root = parse_xml(content(file, limit=MAX_BYTES))
            rows[_picture(file, root, known)] = [_object(each) for each in root.all("object")]
        except ValueError as error:
            faults.add(file, str(error))
    classes = sorted({name for row in rows.values() for name, _ in row})
    number = {name: n for n, name in enumerate(classes)}
    ordered = sorted(rows)
    boxes = Boxes(flat_boxes([[(number[name], *box) for name, box in rows[row]] for row in ordered]))
    apart = len(pictures) - len(ordered) - faults.count
    notes = [f"{apart} pictures have no XML file and are left out."] if apart > 0 else []
    return Annotated("voc", ordered, {"boxes": boxes}, classes, faults, notes)


def _picture(file: str, root: Element, known: Pictures) -> str:
    """The picture of the XML file's own name, else the one that it says."""
    if root.name != "annotation":
        raise BadXml(f"its root is {root.name[:80]!r}, not 'annotation'")
    said = root.word("filename") or ""
    for called in (PurePosixPath(file).stem, said):
        if called and (picture := known.name(file, called)):
            return picture
    raise BadXml(f"its picture {said[:200]!r} is not in the archive, or not once")


def _object(element: Element) -> Named:
    name, corners = (
        element.word("name"),
        [element.word("bndbox", k) for k in ("xmin", "ymin", "xmax", "ymax")],
    )
    if not name or None in corners:
        raise BadXml("an object in it has no name or no bndbox of xmin, ymin, xmax, ymax")
    try:
        left, top, right, bottom = (float(corner or "") for corner in corners)
        _, *box = box_of(0, left - 1, top - 1, right, bottom)
    except ValueError as error:
        raise BadXml(f"the bndbox {corners} of {name[:80]!r}: {error}") from error
    return name, (box[0], box[1], box[2], box[3])
