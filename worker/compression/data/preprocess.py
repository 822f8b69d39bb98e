"""Turn rows of an array into a model's input:

    x = (transpose(rows) * scale - mean) / std

in float32, `mean` and `std` along the channel axis: axis 1 of the result, or the last where only that one fits
(NHWC models); one number serves every channel.
"""

from typing import Any

import numpy as np

from winnow.contract.dataset import Declaration, InputDeclaration
from winnow.contract.errors import Refusal
from worker.compression.ir.values import Array

NUMERIC = "biuf"
"""Kinds of dtypes that can be an input: bool, int, unsigned, float."""
LABELS = "labels"


def completed(declaration: Declaration, arrays: dict[str, Array]) -> Declaration:
    """Return the declaration with its defaults spelled out: every numeric array an input, `labels` the target."""
    targets = declaration.targets
    if (
        targets is None
        and LABELS in arrays
        and not any(made.array == LABELS for made in declaration.inputs.values())
    ):
        targets = Declaration.model_validate({"targets": {"array": LABELS}}).targets
    inputs = declaration.inputs
    if not inputs:
        taken = targets.array if targets else None
        names = [name for name, array in arrays.items() if name != taken and array.dtype.kind in NUMERIC]
        inputs = {name: InputDeclaration(array=name) for name in names}
    return declaration.model_copy(update={"inputs": inputs, "targets": targets})


def preprocess(rows: Array, how: InputDeclaration) -> Array:
    """Make rows of shape (n, …) as the declaration makes them; float32 as soon as there is arithmetic to do."""
    x = np.asarray(rows)
    if how.layout is not None:
        x = np.moveaxis(x, -1, 1)
    if how.add_axis is not None:
        x = np.expand_dims(x, how.add_axis)
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


def made(name: str, array: Array, how: InputDeclaration) -> tuple[np.dtype[Any], tuple[int, ...]]:
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
    shape = preprocess(np.broadcast_to(np.zeros((), bool), (1, *array.shape[1:])), _moves(how)).shape
    for key, values in (("mean", how.mean), ("std", how.std)):
        if values is not None and _channel_axis(len(values), shape) is None:
            raise _refused(
                name, f"{key} has {len(values)} numbers, but one sample is {list(shape[1:])}", f".{key}"
            )
    return np.dtype(np.float32) if calculates(how) else array.dtype, shape[1:]


def _refused(name: str, why: str, key: str = "") -> Refusal:
    return Refusal("invalid_declaration", f"Input {name!r}: {why}.", field=f"declaration.inputs.{name}{key}")


def calculates(how: InputDeclaration) -> bool:
    """Whether the declaration scales, shifts or divides the numbers."""
    return how.scale is not None or how.mean is not None or how.std is not None


def _moves(how: InputDeclaration) -> InputDeclaration:
    return how.model_copy(update={"scale": None, "mean": None, "std": None})


def _channel_axis(channels: int, shape: tuple[int, ...]) -> int | None:
    if len(shape) > 1 and channels in (1, shape[1]):
        return 1
    return len(shape) - 1 if channels in (1, shape[-1]) else None


def _along_channels(values: list[float], shape: tuple[int, ...]) -> Array:
    axis = _channel_axis(len(values), shape)
    return np.asarray(values, np.float32).reshape([-1 if i == axis else 1 for i in range(len(shape))])
