"""Make what a network is fed with while it is timed or compared: the data's samples, else random numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.shapes import Shapes, batch_axes, input_shapes
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.measure.network import Feed

MAX_BATCH_BYTES = 2 * 2**20
MAX_SAMPLES_PER_BATCH = 32


@dataclass(frozen=True)
class BenchmarkData:
    """What is timed or weighed: a job's benchmark on `samples`, or on random numbers of the `seed` where there are
    none."""

    benchmark: Benchmark
    samples: Samples | None
    seed: int

    def feed(self, specs: list[TensorSpec], batch: int | None = None) -> tuple[Feed, list[str]]:
        """Make what `benchmark_feed` makes, at the first batch size where none is said."""
        batch = self.benchmark.batch_sizes[0] if batch is None else batch
        return benchmark_feed(specs, batch, self.benchmark.shapes, self.samples, self.seed)


def benchmark_feed(
    specs: list[TensorSpec],
    batch: int,
    requested_shapes: dict[str, list[int]],
    samples: Samples | None,
    seed: int,
) -> tuple[Feed, list[str]]:
    """Make a feed of `batch` samples; return it and the names of the inputs for which random numbers had to stand in.

    Samples are repeated where there are too few. Refuses as `input_shapes` does.
    """
    example = next(samples.take(batch).batches(batch)) if samples is not None else {}
    shapes = input_shapes(specs, batch, requested_shapes, {name: x.shape for name, x in example.items()})
    axes = batch_axes(specs)
    feed = {s.name: _stretched(example[s.name], axes[s.name], batch) for s in specs if s.name in example}
    feed = {name: x for name, x in feed.items() if x.shape == shapes[name]}
    missing = [s for s in specs if s.name not in feed]
    return {**feed, **random_feed(missing, shapes, seed)}, [s.name for s in missing]


def batch_for(samples: Samples) -> int:
    """Return how many samples to run at once where speed is not measured: their inputs take at most 2 MiB."""
    sample = next(samples.largest().batches(1))
    return max(
        1, min(MAX_SAMPLES_PER_BATCH, MAX_BATCH_BYTES // max(1, sum(x.nbytes for x in sample.values())))
    )


def random_feeds(specs: list[TensorSpec], shapes: Shapes, count: int, seed: int) -> Iterator[Feed]:
    for index in range(count):
        yield random_feed(specs, shapes, seed + index)


def random_feed(specs: list[TensorSpec], shapes: Shapes, seed: int) -> Feed:
    """Make standard normal floats, bytes over their whole range, other integers 0 or 1 (safe as an index or mask)."""
    rng = np.random.default_rng(seed)
    return {spec.name: _random(spec, shapes[spec.name], rng) for spec in specs}


def _random(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError:
        raise Refusal(
            "model_does_not_run",
            f"Input {spec.name!r} is of type {spec.dtype}, for which no numbers can be made. Give data for it.",
        ) from None
    match dtype.kind:
        case "f":
            return np.asarray(rng.standard_normal(shape), dtype)
        case "i" | "u" if dtype.itemsize == 1:
            limits = np.iinfo(dtype)
            return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        case _:
            return np.asarray(rng.integers(0, 2, shape), dtype)


def _stretched(x: Array, axes: set[int], batch: int) -> Array:
    for axis in axes:
        if x.shape[axis] != batch:
            x = np.take(x, np.arange(batch) % x.shape[axis], axis)
    return x
