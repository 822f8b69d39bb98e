"""Whether an answer depends on how far its input is padded.

A short sample is run as short as it is, and as far padded as a longer one of the data wants it; what is computed at
padded positions is cut off. Data that is padded when it is read is padded by its reader. Data that comes padded, with a
mask of ones and then zeros beside it, is cut to the ones; where all of a mask are ones, zeros are put behind.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from winnow.contract.model import TensorSpec
from winnow.contract.robustness import Dependence, Invariance
from worker.compression.data.inputs.padding import PaddingReader
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.quality.parity import DataName
from worker.compression.measure.robustness.dependence import NotMeasured, OutputPairs, apart, dependence
from worker.compression.measure.robustness.few import SAMPLES

LOOKED_AT: Final = 32
BEHIND: Final = 8
"""Zeros put behind a mask that has none."""
NO_DATA: Final = "Without data nothing is padded."
FIXED: Final = "The model fixes the length of its input, to which all is padded."
NO_MASK: Final = "The data is not padded, and no input of the model is a mask of it."


@dataclass(frozen=True)
class Lengths:
    """One sample in two lengths; `front`: padding lies before it."""

    short: Feed
    long: Feed
    sizes: dict[int, int]
    front: bool = False

    def cut(self, x: Array, rows: int) -> Array:
        """Cut the first axis behind the rows that is as long as the padded sample to the true positions."""
        first = 1 if x.ndim and x.shape[0] == rows else 0
        axis = next((axis for axis in range(first, x.ndim) if x.shape[axis] in self.sizes), None)
        if axis is None:
            return x
        size = self.sizes[x.shape[axis]]
        return np.take(x, range(x.shape[axis] - size, x.shape[axis]) if self.front else range(size), axis)


def measure_padding(
    pair: tuple[Network, Network], samples: Samples | None, data: DataName, seed: int
) -> Invariance:
    """Run up to 4 samples twice through each model. Raises `NotMeasured`, and what `Network.run` raises."""
    if samples is None:
        raise NotMeasured(NO_DATA)
    rows = samples.rows_per_sample
    drawn = samples.draw(LOOKED_AT, seed)
    padded_by_reader = any(isinstance(column.reader, PaddingReader) for column in drawn.columns)
    specs = pair[0].inputs
    lengths = list(_read(drawn) if padded_by_reader else _masked(drawn, specs))
    before, after = (_dependence(network, lengths, rows) for network in pair)
    return Invariance(
        samples=len(lengths), data=data, before=before, after=after, says=_sentence(before, after)
    )


def _read(samples: Samples) -> Iterator[Lengths]:
    """The shorter ones, each beside the longest. Raises `NotMeasured`."""
    if (samples.fixed_batch or 1) > 1:
        raise NotMeasured("The model fixes its batch, in which samples of all lengths are padded to one.")
    rows = np.asarray(samples.rows)
    alone = [samples.at(rows[i : i + 1])[0].feeds for i in range(len(rows))]
    sizes = [sum(x.size for x in feed.values()) for feed in alone]
    longest = int(np.argmax(sizes))
    shorter = [i for i in np.argsort(sizes, kind="stable") if sizes[i] < sizes[longest]]
    if not shorter:
        raise NotMeasured(FIXED if len(set(sizes)) == 1 and len(rows) > 1 else NO_MASK)
    for index in shorter[:: max(1, len(shorter) // SAMPLES)][:SAMPLES]:
        together = samples.at(rows[[index, longest]])[0].feeds
        yield _taken_out(alone[index], together, samples)


def _taken_out(short: Feed, together: Feed, samples: Samples) -> Lengths:
    """The first of two samples, as it was padded for the second."""
    long = dict(together)
    for column in samples.columns:
        name, axis = column.spec.name, column.spec.batch_axis or 0
        long[name] = np.take(together[name], range(samples.rows_per_sample), axis)
    long |= {c.spec.name: short[c.spec.name] for c in samples.constants}
    return Lengths(short, long, _sizes(short, long), _is_in_front(short, long))


def _sizes(short: Feed, long: Feed) -> dict[int, int]:
    pairs = [(m, n) for name in short for n, m in zip(short[name].shape, long[name].shape, strict=True)]
    return {m: n for m, n in pairs if m != n}


def _is_in_front(short: Feed, long: Feed) -> bool:
    """Whether the first input whose length grew has the sample at its end."""
    name = next((name for name in short if short[name].shape != long[name].shape), None)
    if name is None:
        return False
    beginning = tuple(slice(0, size) for size in short[name].shape)
    return not np.array_equal(long[name][beginning], short[name])


def _masked(samples: Samples, specs: list[TensorSpec]) -> Iterator[Lengths]:
    """Samples that are padded in the data; where none is, some with zeros behind. Raises `NotMeasured`."""
    rows = np.asarray(samples.rows)
    feeds = [samples.at(rows[i : i + 1])[0].feeds for i in range(min(LOOKED_AT, len(rows)))]
    masks = [spec for spec in specs if all(_is_mask(spec, feed[spec.name]) for feed in feeds)]
    if not masks or samples.fixed_batch not in (None, 1):
        raise NotMeasured(NO_MASK)
    mask, axis = masks[0], 1 - (masks[0].batch_axis or 0)
    if isinstance(mask.shape[axis], int):
        raise NotMeasured(FIXED)
    along = {s.name: a for s in specs for a, d in enumerate(s.shape) if d == mask.shape[axis] and d}
    padded = [feed for feed in feeds if not feed[mask.name].all()]
    for feed in (padded or feeds)[:SAMPLES]:
        true, size = int(feed[mask.name].sum()), feed[mask.name].size
        if padded:
            yield Lengths(_resized(feed, along, true), feed, {size: true})
        else:
            yield Lengths(feed, _resized(feed, along, size + BEHIND), {size + BEHIND: size})


def _is_mask(spec: TensorSpec, x: Array) -> bool:
    """Ones, and then zeros, for each position of one sample; without zeros only where it is called a mask."""
    if len(spec.shape) != 2 or x.size < 2 or x.shape[spec.batch_axis or 0] != 1:
        return False
    numbers = np.asarray(x, np.float64).reshape(-1)
    steps = bool(numbers[0] == 1 and np.isin(numbers, (0, 1)).all() and (np.diff(numbers) <= 0).all())
    return steps and "mask" in spec.name.lower()


def _resized(feed: Feed, along: dict[str, int], size: int) -> Feed:
    """Cut to, or filled with zeros up to, a size along an axis of each of these inputs."""
    resized = dict(feed)
    for name, axis in along.items():
        x = np.take(feed[name], range(min(size, feed[name].shape[axis])), axis)
        fill = [(0, size - n if a == axis else 0) for a, n in enumerate(x.shape)]
        resized[name] = np.pad(x, fill)
    return resized


def _dependence(network: Network, lengths: list[Lengths], rows: int) -> Dependence:
    pairs = OutputPairs(network.outputs)
    for sample in lengths:
        pairs.add(network.run(sample.short), [sample.cut(x, rows) for x in network.run(sample.long)])
    return dependence(pairs.worst())


def _sentence(before: Dependence, after: Dependence) -> str:
    if not after.depends:
        own = " (the original's did)" if before.depends else ""
        return f"An answer does not depend on how far its input is padded{own}."
    return (
        "An answer depends on how far its input is padded: padded and not padded those of the result are apart "
        f"{apart(after)}, those of the original {apart(before)}."
    )
