"""What the channels of a value look like over the data, streamed: least, largest and mean of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.layers.linear import Linear
from worker.compression.runtime.observe import Array, Observer

SAMPLES = 32
"""Of the calibration samples, from which the means and ranges of input channels are taken."""


@dataclass
class Channels:
    """Of one value: float64 [channels] each, over `count` numbers a channel. Without `ranges` only the mean is kept."""

    low: Array
    high: Array
    first: Array
    ranges: bool
    count: int = 0

    @classmethod
    def of(cls, size: int, *, ranges: bool = True) -> "Channels":
        return cls(np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size), ranges)

    def add(self, x: Array, axis: int) -> None:
        """One batch of the value, any shape, channels on `axis`."""
        others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
        if self.ranges:
            np.minimum(self.low, x.min(axis=others), out=self.low)
            np.maximum(self.high, x.max(axis=others), out=self.high)
        self.first += x.sum(axis=others)
        self.count += x.size // len(self.first)

    @property
    def mean(self) -> Array:
        return np.asarray(self.first / max(1, self.count))

    @property
    def largest(self) -> Array:
        """Of the magnitudes."""
        return np.asarray(np.maximum(np.abs(self.low), np.abs(self.high)))


def channels(
    observer: Observer,
    axes: Mapping[str, int],
    samples: Samples,
    told: Callable[[float], None] = lambda _: None,
    *,
    ranges: bool = True,
) -> dict[str, Channels]:
    """Of each value that the observer sees and `axes` names, with its channel axis. Raises what `Observer` raises."""
    found: dict[str, Channels] = {}
    done = 0
    for batch in observer.run(samples, checked=not ranges):
        for name, x in zip(observer.values, batch.values, strict=True):
            if x.size and name in axes:
                one = found.setdefault(name, Channels.of(x.shape[axes[name]], ranges=ranges))
                one.add(x, axes[name])
        done += batch.rows
        told(min(1.0, done / len(samples)))
    return found


def input_channels(
    model: ir.Model, layers: Sequence[Linear], samples: Samples, *, ranges: bool = True
) -> dict[str, Channels]:
    """Of each layer's data, by the layer's name, on the first `SAMPLES`. Raises what `Observer` raises.

    Without `ranges` only means are taken, of values that were looked through before.
    """
    if not layers:
        return {}
    axes = {layer.data: layer.channel_axis for layer in layers}
    found = channels(Observer(model, list(axes)), axes, samples.take(SAMPLES), ranges=ranges)
    return {layer.name: found[layer.data] for layer in layers if layer.data in found}
