"""How far every output moved, sample by sample, for models with labels and without.

With x the original's output and y the candidate's, both as float64:

    cosine             mean over samples of  x·y / (|x| |y|);  over all samples at once where one has one element
    snr_db             10 log10( sum x² / sum (x − y)² );      null where nothing moved, or x is zero
    max_relative_error max |x − y| / max |x|

A sample in which x is almost zero (root mean square below 1e-6) has no cosine. Where x and y are the same NaN or
infinity nothing moved; where only one of them is not finite the error counts as the largest float32 and the cosine
as 0. Integers and booleans have errors only. Where the outputs' first axis is not the batch, a batch is a sample.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from app.contract.report import Parity
from worker.compression.measure.network import Array, Feed, Network

MOST_SAMPLES = 256
"""Of the evaluation data, else of the calibration data, are compared."""
RANDOM_SAMPLES = 16
ALMOST_ZERO = 1e-6
HUGE = float(np.finfo(np.float32).max)
TINY = float(np.finfo(np.float32).tiny)

DataName = Literal["evaluation", "calibration", "random"]


@dataclass
class Moved:
    """Running sums over one output."""

    name: str
    elements: int = 0
    signal: float = 0.0
    noise: float = 0.0
    absolute: float = 0.0
    cross: float = 0.0
    other: float = 0.0
    largest: float = 0.0
    max_error: float = 0.0
    cosines: list[float] = field(default_factory=list)
    single: bool = True
    floating: bool = True
    ranked: bool = True
    same_top1: list[bool] = field(default_factory=list)
    not_finite: int = 0
    other_shape: str | None = None

    def add(self, before: Array, after: Array, batch: int) -> None:
        """One batch. Outputs of other shapes (a detector that keeps fewer boxes) cannot be compared."""
        if before.shape != after.shape:
            self.other_shape = f"{list(before.shape)} became {list(after.shape)}"
            return
        if before.size == 0:
            return
        self._rank(before, after)
        rows = batch if before.ndim and before.shape[0] == batch else 1
        x, y = (np.asarray(v, np.float64).reshape(rows, -1) for v in (before, after))
        self._accumulate(*_finite(x, y))

    def _rank(self, before: Array, after: Array) -> None:
        self.floating &= before.dtype.kind == "f"
        self.ranked &= self.floating and before.ndim == 2 and before.shape[1] > 1
        if self.ranked:
            self.same_top1 += (before.argmax(axis=1) == after.argmax(axis=1)).tolist()

    def _accumulate(self, x: Array, y: Array, broken: Array) -> None:
        error = np.where(broken, HUGE, np.abs(x - y))
        self.elements += x.size
        self.not_finite += int(broken.sum())
        self.signal += float((x * x).sum())
        self.other += float((y * y).sum())
        self.cross += float((x * y).sum())
        self.noise += float((error * error).sum())
        self.absolute += float(error.sum())
        self.largest = max(self.largest, float(np.abs(x).max()))
        self.max_error = max(self.max_error, float(error.max()))
        self.single &= x.shape[1] == 1
        self.cosines += cosines(x, y, np.asarray(broken.any(axis=1)))

    def result(self, samples: int, data: DataName) -> Parity:
        return Parity(
            output=self.name,
            samples=samples,
            data=data,
            cosine=self._cosine(),
            snr_db=10 * float(np.log10(self.signal / self.noise))
            if self.floating and self.signal > 0 and self.noise > 0
            else None,
            max_error=self.max_error,
            mean_error=self.absolute / self.elements,
            max_relative_error=min(self.max_error / max(self.largest, TINY), HUGE),
            top1_agreement=float(np.mean(self.same_top1)) if self.ranked else None,
        )

    def _cosine(self) -> float | None:
        if not self.floating or not self.cosines:
            return None
        if self.single and not self.not_finite:
            norm = np.sqrt(self.signal * self.other)
            return float(self.cross / norm) if norm else 0.0
        return float(np.mean(self.cosines))


def compare_outputs(
    before: Network,
    after: Network,
    feeds: Iterable[tuple[Feed, int]],
    data: DataName,
    tick: Callable[[int], None],
) -> tuple[list[Parity], list[str]]:
    """One entry per output that both have, and notes on what could not be compared.

    `feeds` come with the number of samples in each; `tick` is told the samples done.
    """
    names = [name for name in before.outputs if name in after.outputs]
    moved, samples = [Moved(name) for name in names], 0
    for feed, batch in feeds:
        for one, x, y in zip(moved, before.run(feed, names), after.run(feed, names), strict=True):
            one.add(x, y, batch)
        samples += batch
        tick(samples)
    comparable = [one for one in moved if one.elements and one.other_shape is None]
    return [one.result(samples, data) for one in comparable], _notes(before, after, moved)


def cosines(x: Array, y: Array, broken: Array) -> list[float]:
    """Of the rows [n, d] that are not almost zero in x; 0 where `broken` [n], or y is zero."""
    told = np.sqrt((x * x).mean(axis=1)) > ALMOST_ZERO
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    dots = (x * y).sum(axis=1)
    values = np.divide(dots, norms, out=np.zeros_like(dots), where=(norms > 0) & ~broken)
    return [float(value) for value in np.clip(values, -1.0, 1.0)[told | broken]]


def _finite(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Both within float32's range, with zeros where either is not finite; and where they differ in that."""
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    bad = ~(np.isfinite(x) & np.isfinite(y))
    x, y = (np.clip(np.where(bad, 0.0, v), -HUGE, HUGE) for v in (x, y))
    return x, y, bad & ~same


def _notes(before: Network, after: Network, moved: list[Moved]) -> list[str]:
    notes: list[Any] = [
        f"Output {one.name!r} was not compared: its shape {one.other_shape}."
        for one in moved
        if one.other_shape
    ]
    notes += [
        f"Output {one.name!r} is NaN or infinite in one model and not in the other at {one.not_finite} places."
        for one in moved
        if one.not_finite
    ]
    notes += [f"Output {name!r} is no tensor and was not compared." for name in before.other_outputs]
    gone = [name for name in before.outputs if name not in after.outputs]
    return notes + [f"Output {name!r} is gone from the compressed model." for name in gone]
