"""What decoders are given: outputs by name, samples in front, and the size of what the model looked at."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from winnow.contract.errors import Refusal
from worker.compression.ir.arrays import Array

Heads = dict[str, Array]
Frame = tuple[float, float]
"""Height and width in pixels."""

PICTURE_CHANNELS: Final = (1, 3, 4)
PROBABILITY_SLACK: Final = 1e-3


def misfit(detail: str) -> Refusal:
    return Refusal("outputs_do_not_fit", detail, field="evaluation.decode")


def listed(heads: Heads) -> str:
    return ", ".join(f"{name!r} {list(x.shape)}" for name, x in heads.items())


def frame_of(feed: Heads, settings: tuple[float, float] | None) -> Frame:
    """Return height and width of the only input of four axes, channels in front or behind."""
    if settings is not None:
        return settings
    pictures = [x.shape for x in feed.values() if x.ndim == 4]
    if len(pictures) != 1:
        raise misfit(
            f"Boxes need the size of the picture, and of the inputs {listed(feed)} not exactly one has four axes. Give "
            "evaluation.decode.frame, height and width in pixels."
        )
    _, *sides = pictures[0]
    return (sides[1], sides[2]) if sides[0] in PICTURE_CHANNELS else (sides[0], sides[1])


def cells(frame: Frame, strides: list[int]) -> Iterator[tuple[int, Array]]:
    """Yield of each map its stride and column and row of its cells [rows · columns, 2]."""
    for stride in strides:
        rows, columns = (-(-int(side) // stride) for side in frame)
        y, x = np.mgrid[:rows, :columns]
        yield stride, np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)


def named(heads: Heads, name: str | None, words: tuple[str, ...]) -> str | None:
    """Return the output of that name, or the first whose name has one of the words; None where there is none."""
    if name is not None:
        if name not in heads:
            raise misfit(f"The model has no output {name!r} of numbers; it has {listed(heads)}.")
        return name
    return next((known for word in words for known in heads if word in known.lower()), None)


def softmax(scores: Array) -> Array:
    x = np.asarray(scores, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        shares = np.exp(x - x.max(axis=-1, keepdims=True))
        total: Array = shares / shares.sum(axis=-1, keepdims=True)
    return total


def sigmoid(scores: Array) -> Array:
    x = np.clip(np.asarray(scores, np.float64), -700, 700)
    return 1 / (1 + np.exp(-x))


def are_shares(scores: Array) -> bool:
    """Whether all numbers lie between 0 and 1."""
    x = scores[np.isfinite(scores)]
    return bool(x.size and x.min() >= 0 and x.max() <= 1)


def are_probabilities(scores: Array) -> bool:
    """Whether they lie between 0 and 1 and sum to 1 along the last axis."""
    return are_shares(scores) and bool((np.abs(np.nansum(scores, axis=-1) - 1) < PROBABILITY_SLACK).all())
