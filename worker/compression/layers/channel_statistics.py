"""Measures the channels of a value over the data, streamed: least, largest and mean of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.layers.linear import Linear
from worker.compression.runtime.observe import Observer

MAX_SAMPLES = 32
"""Calibration samples from which the means and ranges of input channels are taken."""


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
        """Add one batch of the value, of any shape, channels on `axis`."""
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
        """The largest magnitude of each channel."""
        return np.asarray(np.maximum(np.abs(self.low), np.abs(self.high)))


def channels(
    observer: Observer,
    axes: Mapping[str, int],
    samples: Samples,
    report_progress: Callable[[float], None] = lambda _: None,
    *,
    ranges: bool = True,
) -> dict[str, Channels]:
    """Measure each value that `axes` names, with its channel axis. Raises what `Observer` raises."""
    statistics: dict[str, Channels] = {}
    done = 0
    for batch in observer.run(samples, checked=not ranges):
        for name, x in zip(observer.values, batch.values, strict=True):
            if x.size and name in axes:
                statistics.setdefault(name, Channels.of(x.shape[axes[name]], ranges=ranges)).add(
                    x, axes[name]
                )
        done += batch.rows
        report_progress(min(1.0, done / len(samples)))
    return statistics


def input_channels(
    model: ir.Model, layers: Sequence[Linear], samples: Samples, *, ranges: bool = True
) -> dict[str, Channels]:
    """Measure each layer's data, by the layer's name, on the first `MAX_SAMPLES`. Raises what `Observer` raises.

    Without `ranges` only means are taken, of values that were checked to be finite before.
    """
    if not layers:
        return {}
    axes = {layer.data: layer.channel_axis for layer in layers}
    statistics = channels(Observer(model, list(axes)), axes, samples.take(MAX_SAMPLES), ranges=ranges)
    return {layer.name: statistics[layer.data] for layer in layers if layer.data in statistics}
