"""Finds what one scale cannot hold: values whose channels, and joins whose parts, differ strongly in range.

join      Add or Concat: the largest magnitudes of its inputs differ by a factor of `UNEVEN_PARTS`
channels  the largest of a value's channels is `UNEVEN_CHANNELS` times the median of those that are not 0
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.layers.channel_statistics import Channels, channels
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.scale_groups.labels import Labels
from worker.compression.quantization.preparation.scale_groups.moves import sizes_of
from worker.compression.quantization.preparation.scale_groups.rules import label_channels
from worker.compression.runtime.observe import Observer

UNEVEN_PARTS: Final = 16.0
"""4 of 8 bits are lost to the smaller ones."""
UNEVEN_CHANNELS: Final = 32.0
"""5 bits are lost to half of the channels."""
A_LITTLE: Final = 4.0
"""2 bits are: what that costs in many places together only measuring tells."""
MAX_SAMPLES: Final = 4
"""By which channels are looked at."""
SCALED_SAMPLES: Final = 32
"""By which factors of channels are chosen: by four, a channel that is large on few samples takes the range of all."""
JOINS: Final = frozenset({"Add", "Sum", "Concat"})


@dataclass(frozen=True)
class Uneven:
    """A value; `ranges` are the largest and the least of what it joins, else of its channels the largest and their
    median."""

    value: ir.Value
    ranges: tuple[float, float]
    joins: bool

    @property
    def ratio(self) -> float:
        return self.ranges[0] / self.ranges[1]

    @property
    def is_much(self) -> bool:
        """Whether it alone can ruin the outputs."""
        return self.joins or self.ranges[0] >= UNEVEN_CHANNELS * self.ranges[1]

    @property
    def words(self) -> str:
        large, small = (f"{size:.3g}" for size in self.ranges)
        if self.joins:
            return f"{self.value.name!r} joins ranges {large} and {small}"
        return f"{self.value.name!r} has a channel of range {large} among others of {small}"


def see_channels(static: Static, labels: Labels, max_samples: int = MAX_SAMPLES) -> dict[ir.Value, Channels]:
    """Measure the channels of all that is quantized in the main graph, and of what is joined, on a few samples."""
    axes = {value: axis for value in _looked_at(static) if (axis := _axis(value, labels)) is not None}
    if not axes:
        return {}
    by_name = {str(value.name): axis for value, axis in axes.items()}
    samples = static.samples.take(max_samples)
    seen = static.shared.once(
        "channels",
        static.model,
        samples,
        [list(by_name.items())],
        lambda: channels(Observer(static.model, list(by_name)), by_name, samples),
        to_arrays=lambda seen: _to_arrays(list(by_name), seen),
        from_arrays=lambda arrays: _from_arrays(list(by_name), arrays),
    )
    return {value: seen[str(value.name)] for value in axes if str(value.name) in seen}


def _to_arrays(names: Sequence[str], seen: Mapping[str, Channels]) -> dict[str, Array]:
    """Name them by number: names of values are any text."""
    known = [(number, seen[name]) for number, name in enumerate(names) if name in seen]
    return {f"{number}": np.stack([each.low, each.high]) for number, each in known}


def _from_arrays(names: Sequence[str], arrays: Mapping[str, Array]) -> dict[str, Channels]:
    seen = {}
    for number, array in arrays.items():
        if array.ndim != 2 or len(array) != 2 or array.dtype != np.float64:
            raise ValueError("these are not the extremes of channels")
        seen[names[int(number)]] = Channels(array[0], array[1], np.zeros(array.shape[1]), ranges=True)
    return seen


def _looked_at(static: Static) -> Iterator[ir.Value]:
    selection = static.selection()
    yield from (value for value in selection.values if value.graph is static.model.graph)
    joins = (node for node in selection.nodes if node.op_type in JOINS and node.graph is static.model.graph)
    for node in joins:
        yield from (v for v in node.inputs if v is not None and v.const_value is None)


def _axis(value: ir.Value, labels: Labels) -> int | None:
    if value in labels.of:
        return labels.of[value].axis
    sizes = sizes_of(value)
    if value.dtype != ir.DataType.FLOAT or sizes is None or len(sizes) < 2:
        return None
    return 1 - len(sizes) if len(sizes) > 3 else -1


def uneven_values(static: Static) -> list[Uneven]:
    """List what is uneven, if only a little, the most first. What holds sentinels has no range."""
    seen = see_channels(static, label_channels(static.edit))
    quantized = dict.fromkeys(static.selection().values)
    values = [_of_join(value, seen) or _of_channels(value, seen) for value in quantized]
    return sorted((each for each in values if each is not None), key=lambda each: -each.ratio)


def _of_join(value: ir.Value, seen: Mapping[ir.Value, Channels]) -> Uneven | None:
    node = value.producer()
    if node is None or node.op_type not in JOINS:
        return None
    ranges = [float(seen[v].largest.max()) for v in node.inputs if v is not None and v in seen]
    ranges = [size for size in ranges if size > 0]
    if len(ranges) < 2 or max(ranges) < UNEVEN_PARTS * min(ranges):
        return None
    return Uneven(value, (max(ranges), min(ranges)), joins=True)


def _of_channels(value: ir.Value, seen: Mapping[ir.Value, Channels]) -> Uneven | None:
    largest = seen[value].largest if value in seen else np.zeros(0)
    alive = largest[largest > 0]
    if len(alive) < 2 or alive.max() < A_LITTLE * np.median(alive):
        return None
    return Uneven(value, (float(alive.max()), float(np.median(alive))), joins=False)
