"""Note what looks wrong with data without being a reason to refuse it."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from winnow.contract.dataset import ArrayFacts
from winnow.contract.declaration import ArrayInput, ArrayTarget, Declaration
from worker.compression.data.inputs.array import calculates
from worker.compression.data.inputs.image import ImageReader
from worker.compression.data.model_inputs import Column
from worker.compression.data.pictures.geometry import Placement
from worker.compression.data.samples import Samples

PIXEL_MAX: Final = 255
CHANNELS: Final = (1, 3, 4)
MIN_IMAGE_AXES: Final = 3
"""Rows, height and width at least: fewer axes are no pictures."""


def dataset_notes(declaration: Declaration, arrays: dict[str, ArrayFacts]) -> list[str]:
    """Note inputs that look unscaled, and labels that are all equal. `declaration` has its defaults spelled out."""
    notes = [
        note
        for name, how in declaration.inputs.items()
        if isinstance(how, ArrayInput)
        for note in _input(name, how, arrays[how.array])
    ]
    if isinstance(declaration.targets, ArrayTarget):
        notes += _labels(declaration.targets.array, arrays[declaration.targets.array])
    return notes


def unscaled_inputs(samples: Samples) -> list[str]:
    """Note float inputs of a model that are made from integers or booleans without a declared scale."""
    return [
        f"Input {column.spec.name!r} takes {column.spec.dtype}, and is given the {column.reader.unscaled} numbers of "
        f"{column.reader.column!r} as they are: its declaration has no scale, mean or std. If the model was trained on "
        "other numbers (0 to 1, say), declare them: what was measured means nothing otherwise."
        for column in samples.columns
        if _raw(column)
    ]


def stretched_pictures(samples: Samples) -> list[str]:
    """Note pictures that lose their proportions, because only the model says how large they are to be."""
    return [
        f"Pictures of {column.reader.column!r} are stretched to the {place.resized[1]} × {place.resized[0]} pixels "
        f"that input {column.spec.name!r} takes (the first one has {place.stored[1]} × {place.stored[0]}): declare "
        "resize and crop, or letterbox, as the model was trained."
        for column in samples.columns
        if isinstance(column.reader, ImageReader) and column.reader.undeclared_size and len(samples)
        if _changes_proportions(place := column.reader.placement(int(samples.rows[0])))
    ]


def _changes_proportions(place: Placement) -> bool:
    return place.stored[0] * place.resized[1] != place.stored[1] * place.resized[0]


def channels_behind(samples: Samples) -> list[str]:
    """Note inputs of open sizes that look like pictures with their channels behind the pixels."""
    return [
        f"Input {column.spec.name!r} gets {list(column.reader.shape)} a sample: channels in the last place. Models "
        "from PyTorch take them in the first: declare layout NHWC->NCHW if this one does."
        for column in samples.columns
        if _has_channels_behind(column)
    ]


def _has_channels_behind(column: Column) -> bool:
    wanted = column.spec.shape
    is_open = len(wanted) == 4 and not isinstance(wanted[1], int) and not isinstance(wanted[3], int)
    return is_open and _are_behind(column.reader.shape)


def _are_behind(sample: Sequence[int | None]) -> bool:
    """Whether a sample has few channels in the last place, and more than that in the first."""
    if len(sample) != 3 or sample[-1] not in CHANNELS:
        return False
    return sample[0] is None or sample[0] > max(CHANNELS)


def _raw(column: Column) -> bool:
    """Whether a float input is given integers or booleans as they are."""
    floats = column.spec.dtype.startswith(("float", "bfloat"))
    dtype = column.reader.unscaled
    return floats and dtype is not None and np.dtype(dtype).kind in "biu"


def _input(name: str, how: ArrayInput, array: ArrayFacts) -> Iterator[str]:
    if how.layout is None and how.add_axis is None and _are_behind(array.shape[1:]):
        yield (
            f"Input {name!r} is made from {array.shape[1:]} a sample, channels behind the pixels: right for a model "
            "that takes them so; one from PyTorch takes them in front: declare layout NHWC->NCHW."
        )
    if calculates(how) or array.min is None or array.max is None:
        return
    sentence = f"Input {name!r} is made from {array.dtype} numbers from {array.min:g} to {array.max:g}, without a scale"
    if not array.dtype.startswith("float"):
        yield f"{sentence}: right for a model of whole numbers; one that takes floats gets them as they are."
    elif len(array.shape) >= MIN_IMAGE_AXES and array.whole and array.min >= 0 and 1 < array.max <= PIXEL_MAX:
        yield f"{sentence}: they look like pixels. If the model was trained on other numbers, declare scale, mean, std."


def _labels(name: str, array: ArrayFacts) -> Iterator[str]:
    if array.min is not None and array.min == array.max and array.shape[:1] != [1]:
        yield f"All labels in {name!r} are {array.min:g}: no metric can tell a good model from a constant."
