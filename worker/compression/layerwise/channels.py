"""What the channels of a value look like over the data, streamed: least, largest, mean and variance of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from worker.compression.data.samples import Samples
from worker.compression.observe import Array, Observer


@dataclass
class Channels:
    """Of one value: float64 [channels] each, over `count` numbers a channel."""

    low: Array
    high: Array
    first: Array
    second: Array
    count: int = 0

    @classmethod
    def of(cls, size: int) -> "Channels":
        return cls(np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size), np.zeros(size))

    def add(self, x: Array, axis: int) -> None:
        """One batch of the value, any shape, channels on `axis`."""
        others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
        np.minimum(self.low, x.min(axis=others), out=self.low)
        np.maximum(self.high, x.max(axis=others), out=self.high)
        self.first += x.sum(axis=others, dtype=np.float64)
        letters = "abcdefgh"[: x.ndim]
        self.second += np.einsum(f"{letters},{letters}->{letters[axis % x.ndim]}", x, x, dtype=np.float64)
        self.count += x.size // len(self.low)

    @property
    def mean(self) -> Array:
        return np.asarray(self.first / max(1, self.count))

    @property
    def variance(self) -> Array:
        return np.asarray(np.maximum(self.second / max(1, self.count) - self.mean**2, 0.0))

    @property
    def largest(self) -> Array:
        """Of the magnitudes."""
        return np.asarray(np.maximum(np.abs(self.low), np.abs(self.high)))


def channels(
    observer: Observer,
    axes: Mapping[str, int],
    samples: Samples,
    told: Callable[[float], None] = lambda _: None,
) -> dict[str, Channels]:
    """Of each value that the observer sees and `axes` names, with its channel axis. Raises what `Observer` raises."""
    found: dict[str, Channels] = {}
    done = 0
    for batch in observer.run(samples):
        for name, x in zip(observer.values, batch.values, strict=True):
            if x.size and name in axes:
                found.setdefault(name, Channels.of(x.shape[axes[name]])).add(x, axes[name])
        done += batch.rows
        told(min(1.0, done / len(samples)))
    return found
