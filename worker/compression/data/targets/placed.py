"""Boxes and masks as labels: placed in the model's input as the picture is, read when they are needed."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from worker.compression.data.inputs.image import ImageReader, bad_picture
from worker.compression.data.pictures.decode import BadPicture
from worker.compression.data.pictures.framing import framed
from worker.compression.data.pictures.geometry import Placement
from worker.compression.data.pictures.masks import decoded_mask
from worker.compression.data.table import Boxes, Files
from worker.compression.ir.arrays import Array
from worker.compression.machine.threads import in_threads

OUTSIDE: Final = 0
"""What a mask has around the picture where no number is ignored."""


def place_boxes(boxes: Array, place: Placement) -> npt.NDArray[np.float32]:
    """Return [k, 5] in pixels of the frame, cut off at its sides; what lies outside of it is left out."""
    factor = np.array([resized / stored for resized, stored in zip(place.resized, place.stored, strict=True)])
    scale, move = np.tile(factor[::-1], 2), np.tile(np.array(place.offset)[::-1], 2)
    corners = np.clip(boxes[:, 1:] * scale + move, 0, np.tile(np.array(place.frame)[::-1], 2))
    inside = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    return np.concatenate([boxes[inside, :1], corners[inside]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class BoxTargets:
    """Rows are float32 [k, 5]: class, left, top, right, bottom in pixels of the input. `numbers` maps the data's class
    numbers to the model's."""

    boxes: Boxes
    pictures: ImageReader
    numbers: npt.NDArray[np.int64] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.boxes),)

    @property
    def ndim(self) -> int:
        return 1

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any, /) -> Any:
        chosen = np.arange(len(self))[rows].tolist()
        return _objects(list(in_threads(self._row, chosen)))

    def _row(self, row: int) -> Array:
        boxes = place_boxes(self.boxes.rows[row], self.pictures.placement(row))
        if self.numbers is not None:
            boxes[:, 0] = self.numbers[boxes[:, 0].astype(np.int64)]
        return boxes


@dataclass(frozen=True)
class MaskTargets:
    """Rows are class numbers, uint8 [height, width] of the input's frame; `ignore` where no picture is."""

    masks: Files
    pictures: ImageReader
    ignore: int | None

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object if self.pictures.frame is None else np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of differing frames only the number of rows."""
        return (len(self.masks), *(self.pictures.frame or ()))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, rows: Any, /) -> Any:
        made = list(in_threads(self._row, np.arange(len(self))[rows].tolist()))
        if self.pictures.frame is None:
            return _objects(made)
        return np.stack(made) if made else np.empty((0, *self.pictures.frame), np.uint8)

    def _row(self, row: int) -> Array:
        place = self.pictures.placement(row)
        try:
            mask = decoded_mask(self.masks.content(row))
            if (mask.height, mask.width) != place.stored:
                raise BadPicture(
                    f"it is {mask.width} × {mask.height} pixels, its picture {place.stored[1]} × {place.stored[0]}"
                )
            return np.asarray(framed(mask, place, "nearest", OUTSIDE if self.ignore is None else self.ignore))
        except BadPicture as error:
            raise bad_picture(self.masks, row, error) from error


def _objects(rows: list[Array]) -> Array:
    """One object a row: rows of one shape would become one array."""
    made = np.empty(len(rows), object)
    for row, each in enumerate(rows):
        made[row] = each
    return made
