"""The model as a forecast sees it: weights by their sizes, the rest of the file as a number of bytes."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from winnow.contract.glob import matches_any
from winnow.contract.model import Layer, ModelFacts
from winnow.contract.stored_weights import AxisChannels, Stored, StoredWeights

FLOATS: Final = frozenset({"float64", "float32", "float16", "bfloat16"})
PRODUCTS: Final = frozenset({"Gemm", "MatMul"})
LINEAR: Final = PRODUCTS | {"Conv"}
NO_FILE: Final = Stored(file_bytes=0, weights=[], products=[])
LINEAGE_BYTES: Final = 550
"""What an artifact says of where it comes from and what was measured of it."""
SMALLEST_PACKED: Final = 64
"""Numbers of a tensor below which it is never packed."""
PACKING_BYTES: Final = 450
"""What all packed tensors share."""
BITMASK_BYTES: Final = 330
"""Nodes and constants that unpack a bitmask."""
BITSTREAM_BYTES: Final = 110
ODD_BITSTREAM_BYTES: Final = 290
"""Nodes and constants that unpack codes of a few bits, fewer where bytes hold whole codes."""


@dataclass(frozen=True)
class Weight:
    """Constants of one kind. `bits` are those of each number, `beside` bytes of scales and the like, `zeros` the share
    of zeros. `quantized`: no floats any more. `codes`: which of few values each number is. `factor`: numbers of the
    parts that it was split into, for each that it had."""

    facts: StoredWeights
    shape: tuple[float, ...]
    bits: float
    beside: float = 0.0
    zeros: float = 0.0
    quantized: bool = False
    codes: bool = False
    factor: float = 1.0

    @property
    def numbers(self) -> float:
        return self.facts.count * math.prod(self.shape) * self.factor

    @property
    def rows(self) -> float:
        """Outputs, or words of a table."""
        axis = self.facts.outputs_axis
        return 1.0 if axis is None else self.shape[axis]

    @property
    def inner(self) -> float:
        """Inputs of each output."""
        return self.numbers / max(1.0, self.rows)

    @property
    def is_float(self) -> bool:
        return self.facts.dtype in FLOATS and not self.quantized

    @property
    def dense_bytes(self) -> float:
        return self.numbers * (8.0 if self.codes else self.bits) / 8

    @property
    def packed_bytes(self) -> float:
        """In the smallest form that is not dense; infinite where there is none."""
        if self.numbers / self.facts.count < SMALLEST_PACKED:
            return math.inf
        count, nonzero = self.facts.count, self.numbers * (1 - self.zeros)
        masked = self.numbers / 8 + BITMASK_BYTES * count
        if not self.codes:
            return masked + nonzero * self.bits / 8
        unpacking = count * (ODD_BITSTREAM_BYTES if 8 % self.bits else BITSTREAM_BYTES)
        ways = (
            self.numbers * self.bits / 8 + unpacking,
            masked + nonzero,
            masked + nonzero * self.bits / 8 + unpacking,
        )
        return min(ways)


@dataclass(frozen=True)
class Network:
    """`structure` is what the file has besides numbers. `macs` are None where nothing tells them. `is_sized` is false
    where nothing tells what the weights take. `channels`: how many each group has. `packs`: zeros are packed."""

    facts: ModelFacts
    weights: list[Weight]
    structure: float
    macs: float | None
    is_sized: bool
    channels: list[int] = field(default_factory=list)
    packs: bool = False

    @classmethod
    def of(cls, facts: ModelFacts) -> "Network":
        """The upload. Where an earlier version inspected it, nothing tells its weights."""
        stored = facts.stored or NO_FILE
        weights = [
            Weight(kind, tuple(map(float, kind.shape)), 8 * _bytes_of(kind.dtype)) for kind in stored.weights
        ]
        structure = stored.file_bytes - sum(weight.numbers * weight.bits / 8 for weight in weights)
        channels = [group.channels for group in facts.channel_groups or []]
        return cls(facts, weights, structure, facts.macs, facts.stored is not None, channels)

    @property
    def size_bytes(self) -> int | None:
        if not self.is_sized:
            return None
        beside = LINEAGE_BYTES + self.structure + sum(weight.beside for weight in self.weights)
        dense = sum(weight.dense_bytes for weight in self.weights)
        smallest = sum(min(weight.dense_bytes, weight.packed_bytes) for weight in self.weights)
        return round(beside + (min(dense, smallest + PACKING_BYTES) if self.packs else dense))

    def layers(self, weight: Weight) -> list[Layer]:
        return [self.facts.layers[place] for place in weight.facts.readers]

    def matrices(self, operators: Collection[str], exclude: list[str]) -> list[Weight]:
        """The plain float matrices that only layers of these operators read, none of them excluded."""
        return [
            weight
            for weight in self.weights
            if weight.is_float
            and weight.facts.outputs_axis is not None
            and not weight.facts.nested
            and all(layer.op in operators for layer in self.layers(weight))
            and not self.is_excluded(weight, exclude)
        ]

    def is_excluded(self, weight: Weight, patterns: list[str]) -> bool:
        return any(is_named(layer, patterns) for layer in self.layers(weight))

    def changed(
        self, chosen: list[Weight], change: Callable[[Weight], Weight], structure: float = 0.0
    ) -> "Network":
        """The same with these weights changed, and so many bytes more in the file besides."""
        ids = {id(weight) for weight in chosen}
        weights = [change(weight) if id(weight) in ids else weight for weight in self.weights]
        return replace(self, weights=weights, structure=self.structure + structure)

    def with_channels(self, counts: Sequence[int]) -> "Network":
        """The same with so many channels of each group."""
        weights = [
            replace(w, shape=self._shape(w.facts.shape, w.facts.channels, counts)) for w in self.weights
        ]
        return replace(self, channels=list(counts), weights=weights)

    def _shape(self, shape: list[int], along: list[AxisChannels], counts: Sequence[int]) -> tuple[float, ...]:
        groups = self.facts.channel_groups or []
        return tuple(
            size - sum(indices * (1 - counts[group] / groups[group].channels) for group, indices in axis)
            for size, axis in zip(shape, along, strict=True)
        )

    def unsized(self) -> "Network":
        """The same where nothing tells any more what its weights take."""
        return replace(self, is_sized=False)


def is_named(layer: Layer, patterns: list[str]) -> bool:
    """Whether one of the patterns names it."""
    return bool(patterns) and any(matches_any(name, patterns) for name in layer.names)


def _bytes_of(dtype: str) -> float:
    """What a number takes, as the digits of its type say it (float32, int8, uint4); bool takes one byte."""
    digits = "".join(c for c in dtype if c.isdigit()) if not dtype.startswith("float8") else "8"
    return int(digits) / 8 if digits else 1.0
