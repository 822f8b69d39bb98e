"""Labels of pictures from what their archive says: class numbers, boxes, masks."""

import numpy as np

from winnow.contract.declaration import AnnotationTarget
from winnow.contract.errors import Refusal
from worker.compression.data.inputs.image import ImageReader
from worker.compression.data.table import Boxes, Files, Numbers, Table
from worker.compression.data.targets.class_map import class_map
from worker.compression.data.targets.placed import BoxTargets, MaskTargets

NAMES = {"folder": "label", "masks": "mask"}


def annotation_labels(target: AnnotationTarget, table: Table, pictures: ImageReader | None) -> Numbers:
    """Make the labels; boxes and masks are placed as `pictures` are. Raises `Refusal` `invalid_declaration`."""
    name = NAMES.get(target.source, "boxes")
    column = table.columns.get(name)
    if column is None or (name != "mask" and table.source != target.source):
        said = f"has labels from {table.source!r}" if table.source else "has none that are read here"
        raise _refused(
            f"The declaration takes labels from {target.source!r}, but the dataset {said}.", "from"
        )
    match column:
        case np.ndarray():
            numbers = class_map(table.classes, target.classes)
            return column if numbers is None else numbers[column]
        case Boxes():
            return BoxTargets(column, _needed(pictures), class_map(table.classes, target.classes))
        case Files():
            return MaskTargets(column, _needed(pictures), target.ignore)
        case _:
            raise _refused(f"Column {name!r} holds no labels.", "from")


def _needed(pictures: ImageReader | None) -> ImageReader:
    if pictures is None:
        raise _refused("Boxes and masks are those of pictures, but no input is made from pictures.", "from")
    return pictures


def _refused(detail: str, where: str) -> Refusal:
    return Refusal("invalid_declaration", detail, field=f"declaration.targets.{where}")
