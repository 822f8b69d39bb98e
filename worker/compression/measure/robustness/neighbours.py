"""Whether an answer depends on the samples that it is run beside, as it does where ranges are taken over a batch.

    alone[i]     the outputs of sample i, run by itself
    beside[i]    its outputs in a batch of all samples
    copies[i]    its outputs in a batch of as many copies of it, which has the batch's shape and no neighbours

What is told is how far `alone` and `beside` are apart. A kernel may sum in another order for another batch size, and
then integers round otherwise: an answer depends on its neighbours where `copies` and `beside`, which have one shape,
differ in a bit. Asked of the sample that moved most; of each where the model fixes its batch, and none can be alone.
"""

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from winnow.contract.job import Benchmark
from winnow.contract.robustness import Dependence, Invariance
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.measure.network import Network
from worker.compression.measure.quality.parity import DataName
from worker.compression.measure.robustness.batch import Batch, batch_of
from worker.compression.measure.robustness.dependence import NotMeasured, OutputPairs, apart, dependence
from worker.compression.measure.robustness.few import SAMPLES

SLOW_SECONDS: Final = 0.5
"""Of one sample, from which on two samples have to do."""


def measure_neighbours(
    pair: tuple[Network, Network], samples: Samples | None, data: DataName, benchmark: Benchmark, seed: int
) -> Invariance:
    """Run some 3 · 4 samples through each model. Raises `NotMeasured`, and what `Network.run` raises."""
    batch = batch_of(pair[0].inputs, samples, benchmark, seed, SAMPLES)
    start = time.perf_counter()
    pair[1].run(batch.feed if batch.fixed else batch.of([0]))
    if time.perf_counter() - start > SLOW_SECONDS and not batch.fixed:
        batch = Batch(batch.of([0, 1]), 2, batch.axes, fixed=False)
    before, after = (_dependence(network, batch) for network in pair)
    return Invariance(
        samples=min(batch.rows, SAMPLES),
        data=data,
        before=before,
        after=after,
        says=_sentence(before, after, batch.rows),
    )


def _dependence(network: Network, batch: Batch) -> Dependence:
    looked_at = range(min(batch.rows, SAMPLES))
    together = dict(zip(network.outputs, network.run(batch.feed, network.outputs), strict=True))
    names = [name for name, x in together.items() if x.ndim and x.shape[0] == batch.rows]
    if not names:
        raise NotMeasured("No output has an entry for each sample.")
    beside = [[together[name][row : row + 1] for name in names] for row in looked_at]
    if batch.fixed:
        alone = [_copies(network, batch, row, names) for row in looked_at]
        differs = any(map(_differ, alone, beside))
    else:
        alone = [network.run(batch.of([row]), names) for row in looked_at]
        moved = max(looked_at, key=lambda row: _distance(alone[row], beside[row]))
        differs = _differ(_copies(network, batch, moved, names), beside[moved])
    pairs = OutputPairs(names)
    for row in looked_at:
        pairs.add(alone[row], beside[row])
    return dependence(pairs.worst(), differs)


def _copies(network: Network, batch: Batch, row: int, names: list[str]) -> list[Array]:
    """The outputs of a row in a batch of nothing else, at its own place in it."""
    return [x[row : row + 1] for x in network.run(batch.of([row] * batch.rows), names)]


def _differ(alone: Sequence[Array], beside: Sequence[Array]) -> bool:
    pairs = [(x, y) for x, y in zip(alone, beside, strict=True) if x.shape == y.shape]
    return any(not np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)


def _distance(alone: Sequence[Array], beside: Sequence[Array]) -> float:
    pairs = [(x, y) for x, y in zip(alone, beside, strict=True) if x.shape == y.shape and x.size]
    apart = (np.nan_to_num(np.subtract(x, y, dtype=np.float64)) for x, y in pairs)
    return max((float(np.abs(difference).max()) for difference in apart), default=0.0)


def _sentence(before: Dependence, after: Dependence, rows: int) -> str:
    if not after.depends:
        own = " (the original's did)" if before.depends else ""
        return f"An answer does not depend on the samples that it is run beside, in a batch of {rows}{own}."
    text = (
        f"An answer depends on the samples that it is run beside: alone and in a batch of {rows} those of the result "
        f"are apart {apart(after)}, those of the original {apart(before)}."
    )
    if before.depends:
        return text
    return (
        f"{text} Dynamic quantization takes the range of an activation over the whole batch: int8_static, or one "
        "sample at a time, always answers the same."
    )
