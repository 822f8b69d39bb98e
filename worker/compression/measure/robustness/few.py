"""A few single samples as feeds."""

from collections.abc import Iterator
from typing import Final

from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.shapes import input_shapes
from worker.compression.data.samples import Samples
from worker.compression.measure.feeds import random_feed
from worker.compression.measure.network import Feed

SAMPLES: Final = 4


def few_feeds(
    specs: list[TensorSpec], samples: Samples | None, benchmark: Benchmark, seed: int
) -> Iterator[Feed]:
    """Yield some samples one by one, or in batches as large as the model fixes; one of random numbers without data."""
    if samples is None:
        yield random_feed(specs, input_shapes(specs, benchmark.batch_sizes[0], benchmark.shapes), seed)
        return
    yield from samples.draw(SAMPLES, seed).unpadded().batches(1)
