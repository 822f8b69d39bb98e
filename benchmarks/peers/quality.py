"""How good a candidate is, sample by sample, so that two can be compared on the same samples.

With labels: the share of right answers, in percent. Of a detector: the average precision at an overlap of 0.5, in
percent; without labels the float model's boxes of a score from 0.3 on are the truth. Else:
10 log10( Σ x² / Σ (x − y)² ) in dB of the output where it is least, x being the float model's output and y the
candidate's; besides, the mean cosine of that kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from winnow.contract.decoding import DetectorDecode
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.measure.feeds import batch_for
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.quality.bootstrap import interval
from worker.compression.measure.quality.decode.decoder import boxes_of
from worker.compression.measure.quality.measure import Measure
from worker.compression.measure.quality.metrics.detection import detection

RESAMPLES = 1000
EXACT_DB = 120.0


@dataclass(frozen=True)
class Detector:
    """How its boxes are read: `parts` makes of all outputs those that the decoder takes. `truth`: of each sample rows
    [m, 5] of class and corners, where there are labels."""

    decode: DetectorDecode
    parts: Callable[[list[Array]], list[Array]] = list
    truth: Sequence[Array] | None = None

    @property
    def precision(self) -> Measure:
        return detection("agreement" if self.truth is None else "map50", self.decode.confident)

    def records(self, expected: list[Array], found: list[Array], feed: Feed, place: slice) -> Array:
        """Of each sample of the batch, which are at that place of all."""
        others, predicted = (
            boxes_of(self.decode, self.parts(x), feed, place.stop - place.start) for x in (expected, found)
        )
        return self.precision.record(predicted, others if self.truth is None else self.truth[place])


@dataclass(frozen=True)
class Quality:
    """`signal` and `noise` float64 [n, outputs]; with labels `right` [n] in percent, 0 or 100; `precision` of a
    detector's boxes in percent, beside labels where it is `labelled`."""

    signal: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]
    cosine: float
    right: npt.NDArray[np.float64] | None
    precision: float | None = None
    labelled: bool = False

    @property
    def in_points(self) -> bool:
        return self.right is not None or self.precision is not None

    @property
    def snr_db(self) -> float:
        return float(_db(self.signal.sum(0), self.noise.sum(0)))

    @property
    def value(self) -> float:
        if self.precision is not None:
            return self.precision
        return self.snr_db if self.right is None else float(self.right.mean())

    @property
    def tolerance(self) -> float:
        """What may be lacking to the best: 0.5 dB, or 0.1 point."""
        return 0.1 if self.in_points else 0.5


@dataclass
class _Sums:
    """What is kept of the batches for one network."""

    sums: list[npt.NDArray[np.float64]] = field(default_factory=list)
    right: list[npt.NDArray[np.float64]] = field(default_factory=list)
    boxes: list[Array] = field(default_factory=list)

    def quality(self, detector: Detector | None) -> Quality:
        signal, noise, other, cross = np.concatenate(self.sums, 1)
        lengths = np.sqrt(signal * other)
        cosine = np.divide(cross, lengths, out=np.ones_like(cross), where=lengths > 0)
        right = np.concatenate(self.right) if self.right else None
        labelled = bool(self.right) or (detector is not None and detector.truth is not None)
        precision = (
            None if detector is None else 100 * detector.precision.value(np.concatenate(self.boxes)).value
        )
        return Quality(signal, noise, float(cosine.mean(0).min()), right, precision, labelled)


def judged(
    original: Network, networks: list[Network], samples: Samples, detector: Detector | None = None
) -> list[Quality]:
    """One for each network. Raises `Refusal` where one does not run."""
    kept = [_Sums() for _ in networks]
    labels, done = samples.labels, 0
    for feed, rows in samples.counted_batches(batch_for(samples)):
        expected = original.run(feed)
        truth = None if labels is None else labels[done : done + rows]
        for of_network, network in zip(kept, networks, strict=True):
            found = network.run(feed, original.outputs)
            of_network.sums.append(
                np.stack([_sums(x, y, rows) for x, y in zip(expected, found, strict=True)], 2)
            )
            if truth is not None:
                of_network.right.append(100.0 * (found[0].argmax(-1) == truth))
            if detector is not None:
                of_network.boxes.append(detector.records(expected, found, feed, slice(done, done + rows)))
        done += rows
    return [of_network.quality(detector) for of_network in kept]


def _sums(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float64]:
    """Σ x², Σ (x − y)², Σ y² and Σ xy of each sample [4, rows]."""
    a, b = (v.astype(np.float64).reshape(rows, -1) for v in (x, y))
    return np.stack([(a * a).sum(1), ((a - b) ** 2).sum(1), (b * b).sum(1), (a * b).sum(1)])


def better(one: Quality, other: Quality, seed: int = 0) -> tuple[float, float, float]:
    """By how much `one` is better than `other`, with the bounds of its paired bootstrap interval."""
    n = len(one.signal)
    drawn = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    if one.right is not None and other.right is not None:
        difference = one.right - other.right
        values, estimate = difference[drawn].mean(1), float(difference.mean())
    else:
        values = _db(one.signal[drawn].sum(1), one.noise[drawn].sum(1))
        values = values - _db(other.signal[drawn].sum(1), other.noise[drawn].sum(1))
        estimate = one.snr_db - other.snr_db
    return (estimate, *interval(values, estimate))


def _db(signal: npt.NDArray[np.float64], noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of sums [..., outputs], the least output's [...]."""
    share = np.maximum(noise, 1e-300) / np.maximum(signal, 1e-300)
    found: npt.NDArray[np.float64] = np.minimum(-10 * np.log10(share), EXACT_DB).min(-1)
    return found
