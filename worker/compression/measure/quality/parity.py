"""Measure how far every output moved, sample by sample, for models with labels and without.

With x the original's output and y the candidate's, both as float64:

    cosine             mean over samples of  x·y / (|x| |y|);  over all samples at once where one has one element
    snr_db             10 log10( sum x² / sum (x − y)² );      null where nothing moved, or x is zero
    max_relative_error max |x − y| / max |x|

A sample in which x is almost zero (root mean square below 1e-6) has no cosine. A sample in which x has NaN says nothing
and is left out, and so are infinities that both have; a note counts them, and an output that has nothing else has no
figures at all. Where y alone is not finite, or lost an infinity, the output is broken: the error there counts as the
largest float32, and the output's cosine is 0. Integers and booleans have errors only. Where the outputs' first axis is
not the batch, a batch is a sample.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from winnow.contract.report import Parity
from worker.compression.data.samples import Fed
from worker.compression.data.trimming import trimmed
from worker.compression.ir.arrays import Array
from worker.compression.measure.network import Network

MAX_COMPARED_SAMPLES = 256
"""Of the evaluation data, else of the calibration data, are compared."""
RANDOM_SAMPLES = 16
ALMOST_ZERO = 1e-6
MAX_FLOAT32 = float(np.finfo(np.float32).max)
LARGEST_ERROR = float(np.nextafter(MAX_FLOAT32, 0))
"""Of finite values: only what is broken has more."""
TINY = float(np.finfo(np.float32).tiny)

DataName = Literal["evaluation", "calibration", "random"]


@dataclass
class OutputDifference:
    """Running sums over one output: of its `size` values the `elements` that can be compared, `broken` among them.
    `not_finite` are those of the original and of the candidate."""

    name: str
    size: int = 0
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
    not_finite: tuple[int, int] = (0, 0)
    broken: int = 0
    other_shape: str | None = None

    def add(self, before: Array, after: Array, batch: int, batched: bool = True) -> None:
        """Add one batch. Outputs of other shapes (a detector that keeps fewer boxes) cannot be compared."""
        if before.shape != after.shape:
            self.other_shape = f"{list(before.shape)} became {list(after.shape)}"
            return
        if before.size == 0:
            return
        self._rank(before, after)
        rows = batch if batched and before.ndim and before.shape[0] == batch else 1
        x, y = (np.asarray(v, np.float64).reshape(rows, -1) for v in (before, after))
        self.size += x.size
        self.not_finite = (self.not_finite[0] + not_finite(x), self.not_finite[1] + not_finite(y))
        self._accumulate(*comparable(x, y))

    def _rank(self, before: Array, after: Array) -> None:
        self.floating &= before.dtype.kind == "f"
        self.ranked &= self.floating and before.ndim == 2 and before.shape[1] > 1
        if self.ranked:
            same = (before.argmax(axis=1) == after.argmax(axis=1)) & ~np.isnan(after).any(axis=1)
            self.same_top1 += same[~np.isnan(before).any(axis=1)].tolist()

    def _accumulate(self, x: Array, y: Array, defined: Array, broken: Array) -> None:
        error = np.where(broken, MAX_FLOAT32, np.abs(x - y).clip(max=LARGEST_ERROR))
        self.elements += int(defined.sum())
        self.broken += int(broken.sum())
        self.signal += float((x * x).sum())
        self.other += float((y * y).sum())
        self.cross += float((x * y).sum())
        self.noise += float((error * error).sum())
        self.absolute += float(error.sum())
        self.largest = max(self.largest, float(np.abs(x).max()))
        self.max_error = max(self.max_error, float(error.max()))
        self.single &= x.shape[1] == 1
        self.cosines += cosines(x, y)

    def result(self, samples: int, data: DataName) -> Parity:
        return Parity(
            output=self.name,
            samples=samples,
            data=data,
            cosine=self._cosine(),
            snr_db=10 * float(np.log10(self.signal / self.noise))
            if self.floating and self.signal > 0 and self.noise > 0
            else None,
            max_error=self.max_error if self.elements else None,
            mean_error=self.absolute / self.elements if self.elements else None,
            max_relative_error=min(self.max_error / max(self.largest, TINY), MAX_FLOAT32)
            if self.elements
            else None,
            top1_agreement=float(np.mean(self.same_top1))
            if self.ranked and self.same_top1 and self.elements
            else None,
        )

    def _cosine(self) -> float | None:
        if self.floating and self.broken:
            return 0.0
        if not self.floating or not self.cosines:
            return None
        if self.single:
            norm = np.sqrt(self.signal * self.other)
            return float(self.cross / norm) if norm else 0.0
        return float(np.mean(self.cosines))


def compare_outputs(
    before: Network,
    after: Network,
    feeds: Iterable[Fed],
    data: DataName,
    tick: Callable[[int], None],
) -> tuple[list[Parity], dict[str, str], list[str]]:
    """Compare all outputs: one entry per output that both have; of each other output of the original why it has none;
    and notes.

    What is computed from padding is left out. `tick` is told the samples done.
    """
    names = [name for name in before.outputs if name in after.outputs]
    differences, samples = [OutputDifference(name) for name in names], 0
    for fed in feeds:
        both = (_run(network, fed, names) for network in (before, after))
        for output, x, y in zip(differences, *both, strict=True):
            output.add(x, y, fed.rows, before.batch_axes.get(output.name, 0) is not None)
        samples += fed.rows
        tick(samples)
    compared = [output for output in differences if output.size and output.other_shape is None]
    entries = [output.result(samples, data) for output in compared]
    return entries, _uncompared(before, differences), _notes(before, after, differences)


def _run(network: Network, fed: Fed, names: list[str]) -> list[Array]:
    outputs = network.run(fed.feeds, names)
    return [trimmed(x, fed.rows, fed.padded, once=True) for x in outputs] if fed.padded else outputs


def _uncompared(before: Network, differences: list[OutputDifference]) -> dict[str, str]:
    """Say why of outputs of the original nothing, or not every sample, could be compared."""
    of = {output.name: output for output in differences}
    reasons = dict.fromkeys(before.other_outputs, "it is no tensor")
    for name in before.outputs:
        if name not in of:
            reasons[name] = "it is gone from the compressed model"
        elif (shape := of[name].other_shape) is not None:
            reasons[name] = f"its shape {shape}"
        elif not of[name].size:
            reasons[name] = "it is empty in every sample"
    return reasons


def cosines(x: Array, y: Array) -> list[float]:
    """Cosines of the rows [n, d] that are not almost zero in x; 0 where y is zero."""
    defined = np.sqrt((x * x).mean(axis=1)) > ALMOST_ZERO
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    dots = (x * y).sum(axis=1)
    values = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    return [float(value) for value in np.clip(values, -1.0, 1.0)[defined]]


def comparable(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Return (x, y, defined, broken) of float64 [samples, d]: both within float32's range, and zero where they are not
    compared; where x says what y has to be; and where y is not that by more than an error."""
    defined = ~np.isnan(x).any(axis=1, keepdims=True) & ~(np.isinf(x) & (x == y))
    compared = defined & np.isfinite(x) & np.isfinite(y)
    x, y = (np.clip(np.where(compared, v, 0.0), -MAX_FLOAT32, MAX_FLOAT32) for v in (x, y))
    return x, y, defined, defined & ~compared


def is_broken(parity: Parity) -> bool:
    """Whether NaN or infinity came in, or an infinity went."""
    return parity.max_error is not None and parity.max_error >= MAX_FLOAT32


def not_finite(x: Array) -> int:
    return int(x.size - np.isfinite(x).sum())


def _notes(before: Network, after: Network, differences: list[OutputDifference]) -> list[str]:
    notes: list[Any] = [
        f"Output {output.name!r} was not compared: its shape {output.other_shape}."
        for output in differences
        if output.other_shape
    ]
    notes += [_not_finite_note(output) for output in differences if any(output.not_finite)]
    notes += [f"Output {name!r} is no tensor and was not compared." for name in before.other_outputs]
    gone = [name for name in before.outputs if name not in after.outputs]
    return notes + [f"Output {name!r} is gone from the compressed model." for name in gone]


def _not_finite_note(output: OutputDifference) -> str:
    """Say what is not finite, on which side, and what follows."""
    before, after = output.not_finite
    text = (
        f"Output {output.name!r} is NaN or infinite at {before} of {output.size} values in the original and at {after} "
        "in the compressed model. "
    )
    if output.broken:
        return text + (
            f"The original has a value at {output.broken} of them that the compressed model lost: there the error "
            "counts as the largest float32, and the cosine as 0."
        )
    if not output.elements:
        return text + "Nothing of it can be compared, so it has no cosine, SNR or errors."
    return text + "Its cosine, SNR and errors leave out samples with NaN, and infinities that both have."
