"""Sentinels and masks (−3.4e38, −inf, 1e9): numbers that say "nothing here", and would take all of a range.

    on the graph      a constant of at least `LEAST` that Where, Add, Mul, … bring into a value
    by the histogram  nothing between the other values and those of at least `LEAST`, for a factor of `GAP`

What computes or reads such a value stays float, so that sentinels pass exactly, and the ranges of all else are those of
the data. A value that the graph marks may be infinite while ranges are measured.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.values import all_nodes
from worker.compression.quantization.calibration.histogram import EDGES, HALF, Distribution

LEAST: Final = 1e4
"""Magnitude of a sentinel: BERT's masks are −10000, those in half precision −65504. Added to values, a little less."""
MARKED_GAP: Final = 16.0
"""Least factor between other values and a sentinel where the graph says that there may be one."""
GAP: Final = 1000.0
"""The same where only the histogram says so."""
MAX_ELEMENTS: Final = 1 << 22
"""Of a constant that is looked through."""
BRINGS: Final = frozenset(
    {"Where", "Add", "Sub", "Mul", "Sum", "Max", "Min", "Pad", "ScatterND", "ScatterElements"}
)
"""Operators by which a constant becomes part of a value."""
PASSES: Final = BRINGS | frozenset(
    {
        "Abs",
        "Cast",
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "GlobalMaxPool",
        "Identity",
        "MaxPool",
        "Neg",
        "ReduceMax",
        "ReduceMin",
        "Relu",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that give sentinels on."""


@dataclass(frozen=True)
class Sentinel:
    """A value with numbers of `size` and more, infinity included, beside others of at most `largest`."""

    value: str
    size: float
    largest: float

    @property
    def words(self) -> str:
        return f"{self.value!r} holds sentinels ({self.size:.3g}) beside values up to {self.largest:.3g}"


def marked_values(model: ir.Model) -> frozenset[str]:
    """Name the values that a sentinel may reach, as far as the graph says."""
    marked: set[ir.Value] = set()
    for node in all_nodes(model):
        passes = node.domain in ("", "ai.onnx") and node.op_type in PASSES | {"ConstantOfShape"}
        if passes and (marked.intersection(node.inputs) or any(map(_is_sentinel, _constants(node)))):
            marked.update(node.outputs)
    return frozenset(str(value.name) for value in marked)


def _constants(node: ir.Node) -> Iterator[ir.TensorProtocol]:
    if node.op_type == "ConstantOfShape" and "value" in node.attributes:
        yield node.attributes["value"].as_tensor()
    elif node.op_type in BRINGS:
        yield from (v.const_value for v in node.inputs if v is not None and v.const_value is not None)


def _is_sentinel(tensor: ir.TensorProtocol) -> bool:
    if not tensor.dtype.is_floating_point() or not 0 < tensor.size <= MAX_ELEMENTS:
        return False
    return bool(np.abs(tensor.numpy().astype(np.float64)).max() >= LEAST)


def sentinel_in(name: str, seen: Distribution, *, marked: bool) -> Sentinel | None:
    """Find the least of the sentinels among what was seen of a value, None where it has none."""
    if seen.low > seen.high or max(-seen.low, seen.high) < LEAST:
        return None
    least, most = _occupied(seen)
    factor = MARKED_GAP if marked else GAP
    gaps = np.flatnonzero((least[1:] >= LEAST / 2) & (least[1:] >= factor * most[:-1]))
    if not len(gaps):
        return None
    apart = least[gaps[0] + 1 :]
    size = math.inf if not np.isfinite(apart).all() else float(apart[-1])
    sign = -1 if -seen.low >= seen.high else 1
    return Sentinel(name, sign * max(size, -seen.low, seen.high), float(most[gaps[0]]))


def _occupied(seen: Distribution) -> tuple[Array, Array]:
    """The least and the largest magnitude of each bin that has something, ascending; the extremes are exact."""
    sizes = EDGES[HALF:]
    counts = seen.counts[:HALF].astype(np.int64) + seen.counts[HALF:]
    for extreme in (abs(seen.low), abs(seen.high)):
        counts[min(int(np.searchsorted(sizes, extreme, "right")) - 1, HALF - 1)] += 1
    bins = np.flatnonzero(counts)
    return sizes[bins], np.minimum(sizes[bins + 1], max(-seen.low, seen.high))
