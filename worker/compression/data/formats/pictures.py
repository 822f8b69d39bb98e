"""Read an archive of pictures as a table: `image`, `file`, and what the archive says of each picture.

What it says is told from names: a table that lists pictures, COCO's JSON, Pascal VOC's XML, YOLO's texts, masks, or a
folder for each class; the first of them counts, and masks count beside boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from worker.compression.data.formats.annotations.annotated import Annotated
from worker.compression.data.formats.annotations.detection.coco import read_coco
from worker.compression.data.formats.annotations.detection.voc import read_voc
from worker.compression.data.formats.annotations.detection.yolo import in_pixels, read_yolo
from worker.compression.data.formats.annotations.folders import by_folder
from worker.compression.data.formats.annotations.listed import read_listed
from worker.compression.data.formats.annotations.masks import masks_of
from worker.compression.data.formats.annotations.named import MAX_CLASSES, MAX_COLUMNS, check_names
from worker.compression.data.formats.archive import Archive
from worker.compression.data.formats.archive_kind import is_picture
from worker.compression.data.table import Column, Table, Words


@dataclass(frozen=True)
class Members:
    """Members of an archive as a column of files."""

    archive: Archive
    numbers: npt.NDArray[np.int64]
    holds: Literal["image", "audio"] = "image"

    def __len__(self) -> int:
        return len(self.numbers)

    def content(self, row: int, /) -> bytes:
        return self.archive.content(int(self.numbers[row]))

    def place(self, row: int, /) -> str:
        return self.archive.names[int(self.numbers[row])]


@lru_cache(maxsize=4)
def pictures_table(archive: Archive) -> Table:
    """Tell the archive's structure, once for each. Raises `Refusal` `invalid_dataset`, `unsafe_archive`."""
    names = [name for name in archive.names if is_picture(name)]
    masks = masks_of(names)
    drawn = set(masks.values())
    annotated, listed_masks = _annotated(archive, [name for name in names if name not in drawn], masks)
    numbers = archive.numbers
    image = Members(archive, np.array([numbers[name] for name in annotated.names], np.int64))
    columns: dict[str, Column] = {
        "image": image,
        "file": Words(annotated.names),
        **in_pixels(annotated, image),
    }
    drawn_for = listed_masks or [masks[name] for name in annotated.names if name in masks]
    if drawn_for and len(drawn_for) == len(annotated.names):
        columns["mask"] = Members(archive, np.array([numbers[name] for name in drawn_for], np.int64))
    check_names("columns", list(columns), MAX_COLUMNS)
    check_names("classes", annotated.classes or [], MAX_CLASSES)
    return Table(
        columns,
        annotated.classes,
        skipped=annotated.faults.count,
        faults=annotated.faults.named,
        notes=list(annotated.notes),
        source=annotated.source,
    )


def _annotated(
    archive: Archive, pictures: Sequence[str], masks: dict[str, str]
) -> tuple[Annotated, list[str] | None]:
    """What the archive says of its pictures, and the masks that a table names."""
    others = [name for name in archive.names if not is_picture(name)]
    listed = read_listed(pictures, others, archive.named)
    if listed is not None:
        return listed
    for read in (read_coco, read_voc, read_yolo):
        annotated = read(pictures, others, archive.named)
        if annotated is not None:
            return annotated, None
    if masks:
        names = [name for name in pictures if name in masks]
        apart = len(pictures) - len(names)
        notes = [f"{apart} pictures have no mask and are left out."] if apart else []
        return Annotated("masks", names, {}, notes=notes), None
    return by_folder(pictures) or Annotated(None, pictures, {}), None
