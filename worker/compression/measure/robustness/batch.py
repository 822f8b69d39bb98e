"""A few samples of one shape that can be run together, alone, and one of them many times over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.shapes import batch_axes, input_shapes
from worker.compression.data.samples import Samples
from worker.compression.measure.feeds import random_feed
from worker.compression.measure.network import Feed
from worker.compression.measure.robustness.dependence import NotMeasured

MOST_LOOKED_AT = 64
"""Samples among which some of one shape are searched for."""


@dataclass(frozen=True)
class Batch:
    """`rows` samples in one feed; `axes` has the batch axis of each input that has one. `fixed`: the model takes so
    many at a time and no other number."""

    feed: Feed
    rows: int
    axes: dict[str, int]
    fixed: bool

    def of(self, rows: Sequence[int]) -> Feed:
        """Make a feed of these rows, of which one may stand in it many times."""
        return {
            name: np.take(x, rows, self.axes[name]) if name in self.axes else x
            for name, x in self.feed.items()
        }


def batch_of(
    specs: list[TensorSpec], samples: Samples | None, benchmark: Benchmark, seed: int, rows: int
) -> Batch:
    """Take `rows` samples, or as many as the model fixes, of the data, else of random numbers. Raises `NotMeasured`."""
    fixed = _fixed_batch(specs)
    if fixed == 1 or (samples is not None and samples.fixed_batch == 1):
        raise NotMeasured("The model takes one sample at a time.")
    rows = fixed or rows
    axes = {name: min(its) for name, its in batch_axes(specs).items() if its}
    if fixed is not None:
        axes = {s.name: s.batch_axis or 0 for s in specs if _size(s) == fixed}
    if not axes:
        raise NotMeasured("No axis of an input counts samples.")
    if samples is None:
        shapes = input_shapes(specs, rows, benchmark.shapes)
        return Batch(random_feed(specs, shapes, seed), rows, axes, fixed is not None)
    drawn = samples.draw(max(rows, MOST_LOOKED_AT), seed).unpadded()
    alike = max(drawn.groups, key=len)[:rows]
    if len(alike) < 2 or (fixed is not None and len(alike) < fixed):
        raise NotMeasured(f"No {fixed or 'two'} of {len(drawn)} samples are of one shape.")
    fed, _ = drawn.at(np.asarray(alike))
    return Batch(fed.feeds, len(alike), axes, fixed is not None)


def _fixed_batch(specs: list[TensorSpec]) -> int | None:
    """How many samples at a time the model takes; None where that is open, or nothing tells it."""
    if any(batch_axes(specs).values()):
        return None
    return next((size for spec in specs if len(spec.shape) > 1 and (size := _size(spec)) is not None), None)


def _size(spec: TensorSpec) -> int | None:
    size = spec.shape[spec.batch_axis or 0] if spec.shape else None
    return size if isinstance(size, int) else None
