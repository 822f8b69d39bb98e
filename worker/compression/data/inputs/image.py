"""Turn encoded pictures into a model's input: decoded, placed, then as an array of the same pixels would be."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.contract.declaration import ArrayInput, ImageInput
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.array import calculates, preprocess
from worker.compression.data.pictures.decode import BadPicture, Color, decoded, stored_size
from worker.compression.data.pictures.decoded_rows import DecodedRows, decoded_rows
from worker.compression.data.pictures.framing import placed_pixels
from worker.compression.data.pictures.geometry import (
    Geometry,
    Pair,
    Placement,
    frame_of,
    geometry_of,
    placement,
)
from worker.compression.data.pictures.presets import spelled_out
from worker.compression.data.pictures.stored_sizes import Sizes, stored_sizes
from worker.compression.data.scratch import Scratch
from worker.compression.data.table import Files, Rows
from worker.compression.ir.arrays import Array
from worker.compression.machine.threads import in_threads


@dataclass(frozen=True)
class ImageReader:
    """Pictures by row: `geometry` places them, `numbers` says what is computed of the pixels."""

    column: str
    files: Files
    geometry: Geometry
    color: Color
    numbers: ArrayInput
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    decoded: DecodedRows | None
    sizes: Sizes = field(repr=False)
    undeclared_size: bool
    """Whether pictures are resized to what the model fixes, because nothing else was declared."""
    rows_per_sample: int = 1

    @property
    def unscaled(self) -> str | None:
        return None if calculates(self.numbers) else "uint8"

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: Rows) -> Array:
        """Raises `Refusal` `invalid_dataset` naming the picture that cannot be read."""
        made = list(in_threads(self._made, map(int, rows)))
        batch = np.empty((len(made), *made[0].shape), self.dtype)
        return np.stack(made, out=batch)

    def row_shape(self, row: int) -> tuple[int, ...] | None:
        if None not in self.shape:
            return None
        return self.placement(row).frame

    @property
    def frame(self) -> Pair | None:
        """Height and width of every input; None where they differ."""
        return frame_of(self.geometry)

    def placement(self, row: int) -> Placement:
        """Where the picture lies in the input. Raises `Refusal` `invalid_dataset`."""
        if not self.sizes[row].all():
            try:
                self.sizes[row] = stored_size(self.files.content(row))
            except BadPicture as error:
                raise bad_picture(self.files, row, error) from error
        height, width = self.sizes[row].tolist()
        return placement((height, width), self.geometry)

    def _made(self, row: int) -> Array:
        made: Array = preprocess(self._pixels(row)[None], self.numbers)[0]
        return made

    def _pixels(self, row: int) -> Array:
        known = self.decoded.read(row) if self.decoded is not None else None
        if known is not None:
            return known
        try:
            image = decoded(self.files.content(row))
            made = placed_pixels(image, self.geometry, self.color)
        except BadPicture as error:
            raise bad_picture(self.files, row, error) from error
        self.sizes[row] = image.height, image.width
        if self.decoded is not None:
            self.decoded.write(row, made)
        return made


def image_reader(
    name: str, files: Files, column: str, how: ImageInput, spec: TensorSpec | None, scratch: Scratch | None
) -> ImageReader:
    """Make the reader of one declared input. Raises `Refusal` `invalid_declaration` when it cannot be made."""
    full = spelled_out(how, spec)
    channels = 1 if full.color == "grey" else 3
    for key, values in (("mean", full.mean), ("std", full.std)):
        if values is not None and len(values) not in (1, channels):
            raise Refusal(
                "invalid_declaration",
                f"Input {name!r}: {key} has {len(values)} numbers, but {full.color} has {channels} channels.",
                field=f"declaration.inputs.{name}.{key}",
            )
    geometry = geometry_of(full)
    frame = frame_of(geometry)
    shape = (channels, *(frame or (None, None))) if full.layout else (*(frame or (None, None)), channels)
    numbers = ArrayInput(array=column, layout=full.layout, scale=full.scale, mean=full.mean, std=full.std)
    dtype = np.dtype(np.float32 if calculates(full) else np.uint8)
    kept = None
    if frame is not None and scratch is not None:
        how_decoded = f"{column} {full.model_dump_json(include=_DECIDING)}"
        kept = decoded_rows(scratch, how_decoded, len(files), (*frame, channels))
    sizes = stored_sizes(scratch, column, len(files))
    undeclared = (
        frame is not None and frame_of(geometry_of(spelled_out(how, None))) is None and how.preset is None
    )
    return ImageReader(column, files, geometry, full.color, numbers, dtype, shape, kept, sizes, undeclared)


_DECIDING = {"resize", "crop", "letterbox", "color"}
"""What the decoded pixels depend on."""


def bad_picture(files: Files, row: int, error: BadPicture) -> Refusal:
    """The refusal that names a picture."""
    return Refusal(
        "invalid_dataset",
        f"The picture {files.place(row)!r} (row {row}) cannot be used: {error}. Replace it or leave it out, or let "
        "skip_bad say which share may be skipped.",
    )
