"""How good a candidate is, sample by sample, so that two can be compared on the same samples.

With labels: the share of right answers, in percent. Without: 10 log10( Σ x² / Σ (x − y)² ) in dB of the output where
it is least, x being the float model's output and y the candidate's; besides, the mean cosine of that kind.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.compression.data.samples import Samples
from worker.compression.measure.feeds import batch_for
from worker.compression.measure.network import Network
from worker.compression.measure.quality.bootstrap import interval

RESAMPLES = 1000
EXACT_DB = 120.0


@dataclass(frozen=True)
class Quality:
    """`signal` and `noise` float64 [n, outputs]; with labels `right` [n] in percent, 0 or 100."""

    signal: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]
    cosine: float
    right: npt.NDArray[np.float64] | None

    @property
    def snr_db(self) -> float:
        return float(_db(self.signal.sum(0), self.noise.sum(0)))

    @property
    def value(self) -> float:
        return self.snr_db if self.right is None else float(self.right.mean())

    @property
    def tolerance(self) -> float:
        """What may be lacking to the best: 0.5 dB, or 0.1 point."""
        return 0.5 if self.right is None else 0.1


def judged(original: Network, networks: list[Network], samples: Samples) -> list[Quality]:
    """One for each network. Raises `Refusal` where one does not run."""
    sums: list[list[npt.NDArray[np.float64]]] = [[] for _ in networks]
    rights: list[list[npt.NDArray[np.float64]]] = [[] for _ in networks]
    labels, done = samples.labels, 0
    for feed, rows in samples.counted_batches(batch_for(samples)):
        expected = original.run(feed)
        truth = None if labels is None else labels[done : done + rows]
        for at, network in enumerate(networks):
            found = network.run(feed, original.outputs)
            sums[at].append(np.stack([_sums(x, y, rows) for x, y in zip(expected, found, strict=True)], 2))
            if truth is not None:
                rights[at].append(100.0 * (found[0].argmax(-1) == truth))
        done += rows
    return [_quality(np.concatenate(s, 1), r) for s, r in zip(sums, rights, strict=True)]


def _sums(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float64]:
    """Σ x², Σ (x − y)², Σ y² and Σ xy of each sample [4, rows]."""
    a, b = (v.astype(np.float64).reshape(rows, -1) for v in (x, y))
    return np.stack([(a * a).sum(1), ((a - b) ** 2).sum(1), (b * b).sum(1), (a * b).sum(1)])


def _quality(sums: npt.NDArray[np.float64], rights: list[npt.NDArray[np.float64]]) -> Quality:
    signal, noise, other, cross = sums
    lengths = np.sqrt(signal * other)
    cosine = np.divide(cross, lengths, out=np.ones_like(cross), where=lengths > 0)
    right = np.concatenate(rights) if rights else None
    return Quality(signal, noise, float(cosine.mean(0).min()), right)


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
