"""Turn rows of an array into a model's input:

    x = (transpose(rows) * scale - mean) / std

in float32, `mean` and `std` along the channel axis: axis 1 of the result, or the last where only that one fits
(NHWC models); one number serves every channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.contract.declaration import ArrayInput, Scaled
from winnow.contract.errors import Refusal
from worker.compression.data.table import Numbers, Rows, select
from worker.compression.ir.arrays import Array

NUMERIC = "biuf"
"""Kinds of dtypes that can be an input: bool, int, unsigned, float."""


@dataclass(frozen=True)
class ArrayReader:
    """An array of numbers, its rows as the declaration makes them."""

    array: Numbers
    how: ArrayInput
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    rows_per_sample: int = 1

    @property
    def column(self) -> str:
        return self.how.array

    @property
    def unscaled(self) -> str | None:
        return None if calculates(self.how) else self.array.dtype.name

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: Rows) -> Array:
        """Raises `Refusal` `not_finite` where the array has NaN or infinity; what is computed, the input's column
        checks."""
        raw = select(self.array, rows)
        check_finite(self.how.array, raw, rows)
        with np.errstate(over="ignore"):  # what overflows is found and named there
            return preprocess(raw, self.how)

    def row_shape(self, row: int) -> tuple[int, ...] | None:
        return None


def array_reader(name: str, array: Numbers, how: ArrayInput) -> ArrayReader:
    """Make the reader of one declared input. Raises `Refusal` `invalid_declaration` when it cannot be made."""
    dtype, shape = made(name, array, how)
    return ArrayReader(array, how, dtype, shape)


def check_finite(column: str, values: Array, rows: Sequence[int] | Rows) -> None:
    """Check the values [rows, …] made of a column. Raises `Refusal` `not_finite` with the first place that is none."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    row, *rest = np.argwhere(~np.isfinite(values))[0].tolist()
    raise Refusal(
        "not_finite",
        f"Array {column!r} gives NaN or infinity at {[int(rows[row]), *rest]}. Remove such samples, or choose a slice "
        "without them.",
    )


def preprocess(rows: Array, how: ArrayInput) -> Array:
    """Make rows of shape (n, …) as the declaration makes them; float32 as soon as there is arithmetic to do."""
    x = np.asarray(rows)
    if how.layout is not None:
        x = np.moveaxis(x, -1, 1)
    if how.add_axis is not None:
        x = np.expand_dims(x, how.add_axis)
    return scaled(x, how)


def scaled(x: Array, how: Scaled) -> Array:
    """Compute (x * scale - mean) / std in float32, `mean` and `std` along the channel axis; x itself without any."""
    if not calculates(how):
        return x
    x = x.astype(np.float32)
    if how.scale is not None:
        x *= np.float32(how.scale)
    if how.mean is not None:
        x -= _along_channels(how.mean, x.shape)
    if how.std is not None:
        x /= _along_channels(how.std, x.shape)
    return x


def made(name: str, array: Numbers, how: ArrayInput) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Compute dtype and shape of one sample, without reading any; `invalid_declaration` when it cannot be made."""
    if array.dtype.kind not in NUMERIC or array.ndim == 0:
        raise _refused(
            name, f"array {how.array!r} is {array.dtype} {list(array.shape)}, expected rows of numbers"
        )
    if how.layout is not None and array.ndim != 4:
        raise _refused(name, f"layout {how.layout} needs 4 axes, array {how.array!r} has {list(array.shape)}")
    axes = array.ndim + 1
    if how.add_axis is not None and (not -axes <= how.add_axis < axes or how.add_axis % axes == 0):
        raise _refused(name, f"add_axis {how.add_axis} must lie behind the batch axis of {list(array.shape)}")
    shape = preprocess(np.broadcast_to(np.zeros((), bool), (1, *array.shape[1:])), unscaled_like(how)).shape
    check_channels(name, how, shape)
    return np.dtype(np.float32) if calculates(how) else array.dtype, shape[1:]


def check_channels(name: str, how: Scaled, shape: tuple[int, ...]) -> None:
    """Check that there is a mean and std for each channel. Raises `Refusal` `invalid_declaration`."""
    for key, values in (("mean", how.mean), ("std", how.std)):
        if values is not None and _channel_axis(len(values), shape) is None:
            raise _refused(
                name, f"{key} has {len(values)} numbers, but one sample is {list(shape[1:])}", f".{key}"
            )


def _refused(name: str, why: str, key: str = "") -> Refusal:
    return Refusal("invalid_declaration", f"Input {name!r}: {why}.", field=f"declaration.inputs.{name}{key}")


def calculates(how: Scaled) -> bool:
    """Whether the declaration scales, shifts or divides the numbers."""
    return how.scale is not None or how.mean is not None or how.std is not None


def unscaled_like(how: ArrayInput) -> ArrayInput:
    """Return the same moves of axes without the arithmetic."""
    return how.model_copy(update={"scale": None, "mean": None, "std": None})


def _channel_axis(channels: int, shape: tuple[int, ...]) -> int | None:
    if len(shape) > 1 and channels in (1, shape[1]):
        return 1
    return len(shape) - 1 if channels in (1, shape[-1]) else None


def _along_channels(values: list[float], shape: tuple[int, ...]) -> Array:
    axis = _channel_axis(len(values), shape)
    return np.asarray(values, np.float32).reshape([-1 if i == axis else 1 for i in range(len(shape))])
