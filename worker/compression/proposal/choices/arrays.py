"""Choices for an input that an array or a column of numbers may be: layout, added axis, scale."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import ArrayInput
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.array import NUMERIC, made
from worker.compression.ir.arrays import Array
from worker.compression.proposal.choices.choice import Choice, Reason
from worker.compression.proposal.choices.scaling import Scaling, scalings
from worker.compression.proposal.subject import spread

LOOKED_AT: Final = 64
CHANNELS: Final = (1, 3)
IMAGE_AXES: Final = 4

Axes = tuple[Literal["NHWC->NCHW"] | None, int | None]
WAYS: Final[tuple[Axes, ...]] = (
    (None, None), ("NHWC->NCHW", None), (None, 1), (None, -1), ("NHWC->NCHW", 1),
)  # fmt: skip


def array_choices(spec: TensorSpec, name: str, array: Array) -> list[Choice]:
    """List the ways in which this array can be that input; none where it cannot be."""
    if array.dtype.kind not in NUMERIC or array.ndim == 0 or len(array) == 0:
        return []
    ways = [way for way in WAYS if _fits(spec, name, array, way)]
    ways = [way for way in ways if _channels_first(spec, array, way)] or ways
    return [
        Choice(
            ArrayInput(array=name, layout=layout, add_axis=add_axis, **scaling.values),
            scaling.tells,
            usual,
            list(_reasons(spec, array, (layout, add_axis), len(ways))),
        )
        for layout, add_axis in ways
        for usual, scaling in enumerate(_scalings(spec, array, layout))
    ]


def is_picture(spec: TensorSpec) -> bool:
    """Whether an input looks like pictures: four axes, of which one has 1 or 3 channels."""
    return len(spec.shape) == IMAGE_AXES and bool({spec.shape[1], spec.shape[-1]} & set(CHANNELS))


def _fits(spec: TensorSpec, name: str, array: Array, way: Axes) -> bool:
    how = ArrayInput(array=name, layout=way[0], add_axis=way[1])
    try:
        dtype, shape = made(spec.name, array, how)
        fitting.check_kind(spec, dtype.name)
    except Refusal:
        return False
    return fitting.fits(spec.shape, fitting.with_batch(spec, shape, None))


def _channels_first(spec: TensorSpec, array: Array, way: Axes) -> bool:
    """Whether a model of open sizes gets few channels where networks have them: in front."""
    if len(spec.shape) != IMAGE_AXES or isinstance(spec.shape[1], int):
        return True
    shape = made("", array, ArrayInput(array="", layout=way[0], add_axis=way[1]))[1]
    return shape[0] in CHANNELS


def _scalings(spec: TensorSpec, array: Array, layout: str | None) -> list[Scaling]:
    looked = np.asarray(array[spread(len(array), LOOKED_AT)])
    finite = looked[np.isfinite(looked)] if looked.dtype.kind == "f" else looked
    picture = len(spec.shape) >= IMAGE_AXES - 1
    if not spec.dtype.startswith("float") or not picture or not finite.size:
        return [Scaling("numbers as they are", {})]
    low, high = float(finite.min()), float(finite.max())
    whole = looked.dtype.kind in "biu" or bool((finite == np.round(finite)).all() and high > 1)
    channels = spec.shape[1] if len(spec.shape) == IMAGE_AXES else None
    return scalings(low, high, whole, channels if isinstance(channels, int) else None)


def _reasons(spec: TensorSpec, array: Array, way: Axes, ways: int) -> Iterator[Reason]:
    rows: list[Any] = ["rows", *array.shape[1:]]
    only = "the only way in which" if ways == 1 else "one of several ways in which"
    if way[0] is not None:
        yield Reason("layout", ways == 1, f"{only} {rows} fits {fitting.spec_text(spec)}")
    if way[1] is not None:
        yield Reason("add_axis", ways == 1, f"{only} {rows} fits {fitting.spec_text(spec)}")
