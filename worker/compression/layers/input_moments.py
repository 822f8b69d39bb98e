"""First and second moments of what reaches each layer, streamed: H = Σ x xᵀ over the rows that it multiplies.

All layer-wise methods (least-squares repair, Wanda, SparseGPT, whitened low rank, GPTQ) need no more of the data.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.data.samples import Samples
from worker.compression.layers.linear import Linear
from worker.compression.runtime.observe import Array, Observer

HELD = 1 << 30
"""Bytes of all sums that are held at once; where layers need more, the data is run again for the rest."""
ROWS = 1 << 14
"""Rows of one layer and batch that are counted; of more, a random part."""


@dataclass
class Moments:
    """Sums over `rows` rows, for each group: `second` float64 [groups, in, in], `first` float64 [groups, in]."""

    second: Array
    first: Array
    rows: int = 0

    @classmethod
    def none(cls, layer: Linear) -> "Moments":
        groups, _, inner = layer.shape
        return cls(np.zeros((groups, inner, inner)), np.zeros((groups, inner)))

    def add(self, x: Array) -> None:
        """float32 [groups, rows, in]"""
        with np.errstate(over="ignore", invalid="ignore"):  # looked for at the end
            self.second += x.swapaxes(1, 2) @ x
        self.first += x.sum(1, dtype=np.float64)
        self.rows += x.shape[1]

    @property
    def squares(self) -> Array:
        """Σ x², float64 [groups, in]."""
        return np.diagonal(self.second, axis1=1, axis2=2)


def moments(
    model: ir.Model, layers: Sequence[Linear], samples: Samples, told: Callable[[float], None]
) -> Iterator[tuple[Linear, Moments]]:
    """Of each layer, in order, over all that reads its weight. `told` hears the share of the work that is done.

    Raises `not_finite` naming the layer whose inputs' squares overflow, and what `Observer` raises.
    """
    parts = list(held_together(layers))
    for number, part in enumerate(parts):
        found = [Moments.none(layer) for layer in part]
        done = 0
        readers = [
            (reader, sums) for layer, sums in zip(part, found, strict=True) for reader in layer.readers
        ]
        for batch in Observer(model, [reader.data for reader, _ in readers]).run(samples):
            for (reader, sums), x in zip(readers, batch.values, strict=True):
                sums.add(reader.columns(x, ROWS))
            done += batch.rows
            told((number + min(1.0, done / len(samples))) / len(parts))
        for layer, sums in zip(part, found, strict=True):
            _check_finite(layer, sums)
            yield layer, sums


def _check_finite(layer: Linear, sums: Moments) -> None:
    if not np.isfinite(sums.second).all():
        raise Refusal(
            "not_finite",
            "The inputs of this layer are so large that their squares overflow. Check the data's scale, or exclude it.",
            layer=layer.name,
        )


def held_together(
    layers: Sequence[Linear], matrices: int = 1, most: int | None = None
) -> Iterator[list[Linear]]:
    """Runs of layers, `most` at a time, whose sums of so many matrices [in, in] each can be held at once."""
    part: list[Linear] = []
    held = 0
    for layer in layers:
        groups, _, inner = layer.shape
        size = matrices * 8 * groups * inner * inner
        if part and (len(part) == most or held + size > HELD):
            yield part
            part, held = [], 0
        part.append(layer)
        held += size
    if part:
        yield part
