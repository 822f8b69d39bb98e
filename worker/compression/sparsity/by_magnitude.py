"""Set the weights of least magnitude to zero a part at a time, from file to file: a layer is never in memory.

    unstructured   the n-th least |w| by two counts, of the upper and of the lower half of its bits, which are in the
                   order of magnitudes; those below it go, and of those that equal it the first
    N:M            of every M in a row the M - N least

What goes is what `Structure.weakest` would choose by w².
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.mapped_tensors import MAX_IN_MEMORY_BYTES, MappedTensors
from worker.compression.ir.values import array_of, tensor_of
from worker.compression.layers.linear import Linear
from worker.compression.layers.sparsity_pattern import Structure

AT_ONCE: Final = 1 << 20
"""Weights of one part; what is computed on the way takes about thirty bytes for each."""
HALF: Final = 16
MAGNITUDE: Final = np.uint32(2**31 - 1)
"""The bits of a float32 but its sign."""


@dataclass(frozen=True)
class Zeros:
    before: int
    after: int


def sparsify_by_magnitude(
    layer: Linear, structure: Structure, count: int, spill: MappedTensors | None
) -> Zeros:
    """Set `count` weights to zero, for N:M all that may go; single ones, no blocks. The weight is written to `spill`,
    where there is one."""
    source = tensor_of(layer.weight)
    flat = array_of(layer.weight).reshape(-1)
    parts = _in_runs(layer, flat, structure) if structure.m else _below(layer, flat, count)
    zeros = _Counted(parts)
    if spill is None or source.nbytes <= MAX_IN_MEMORY_BYTES:
        made: ir.TensorProtocol = ir.tensor(np.concatenate(list(zeros)).reshape(layer.dims), name=source.name)
    else:
        made = spill.append_parts(str(layer.weight.name), zeros, ir.DataType.FLOAT, layer.dims)
    before = flat.size - int(np.count_nonzero(flat))
    layer.weight.const_value = made
    return Zeros(before, zeros.count)


class _Counted:
    """The parts, and how many zeros were in those that were taken."""

    def __init__(self, parts: Iterator[Array]) -> None:
        self._parts, self.count = parts, 0

    def __iter__(self) -> Iterator[Array]:
        for part in self._parts:
            self.count += part.size - int(np.count_nonzero(part))
            yield part


def _in_runs(layer: Linear, flat: Array, structure: Structure) -> Iterator[Array]:
    """[runs, M, values beside each other that belong to different runs]"""
    runs = flat.reshape(-1, structure.m, _apart(layer))
    step = max(1, AT_ONCE // math.prod(runs.shape[1:]))
    for begin in range(0, len(runs), step):
        part = runs[begin : begin + step]
        ranks = np.abs(part).argsort(1, kind="stable").argsort(1, kind="stable")
        yield np.where(ranks < structure.m - structure.n, np.float32(0), part).reshape(-1)


def _apart(layer: Linear) -> int:
    """How far apart inputs in a row lie in the weight as it is stored."""
    if layer.node.op_type == "Conv":
        return math.prod(layer.dims[2:])
    return 1 if layer.outputs_first else layer.dims[1]


def _below(layer: Linear, flat: Array, count: int) -> Iterator[Array]:
    if count <= 0:
        yield from (flat[begin : begin + AT_ONCE] for begin in range(0, flat.size, AT_ONCE))
        return
    threshold, equal = _threshold(flat, count)
    chosen = _first(layer, flat, threshold, equal)
    for begin, bits in _bits(flat):
        goes = bits < threshold
        inside = slice(*np.searchsorted(chosen, (begin, begin + len(bits))))
        goes[chosen[inside] - begin] = True
        yield np.where(goes, np.float32(0), flat[begin : begin + len(bits)] + np.float32(0))


def _threshold(flat: Array, count: int) -> tuple[int, int]:
    """The bits of the `count`-th least magnitude, and how many weights of it are among those."""
    upper = np.zeros(1 << (32 - HALF), np.int64)
    for _, bits in _bits(flat):
        upper += np.bincount(bits >> HALF, minlength=len(upper))
    begin = int(np.searchsorted(np.cumsum(upper), count))
    count -= int(upper[:begin].sum())
    lower = np.zeros(1 << HALF, np.int64)
    for _, bits in _bits(flat):
        lower += np.bincount(bits[bits >> HALF == begin] & (len(lower) - 1), minlength=len(lower))
    end = int(np.searchsorted(np.cumsum(lower), count))
    return begin << HALF | end, count - int(lower[:end].sum())


def _first(layer: Linear, flat: Array, threshold: int, count: int) -> Array:
    """Where the first weights of this magnitude are, ascending, int64 [count]; zeros stay where they are."""
    if threshold == 0:
        return np.empty(0, np.int64)
    places = np.concatenate([begin + np.flatnonzero(bits == threshold) for begin, bits in _bits(flat)])
    order = np.argsort(_in_order(layer, places), kind="stable")
    return np.sort(places[order[:count]])


def _in_order(layer: Linear, places: Array) -> Array:
    """The places in the order [groups, out, kernel position, in] of `sparsity_pattern`."""
    if layer.node.op_type == "Conv":
        channels, kernel = layer.dims[1], math.prod(layer.dims[2:])
        out, channel, position = np.unravel_index(places, (layer.dims[0], channels, kernel))
        return np.asarray((out * kernel + position) * channels + channel)
    if layer.outputs_first:
        return places
    inner, out = np.divmod(places, layer.dims[1])
    return np.asarray(out * layer.dims[0] + inner)


def _bits(flat: Array) -> Iterator[tuple[int, Array]]:
    """The magnitudes of each part as whole numbers, uint32, and where it begins."""
    for begin in range(0, flat.size, AT_ONCE):
        part = np.ascontiguousarray(flat[begin : begin + AT_ONCE], np.float32)
        yield begin, part.view(np.uint32) & MAGNITUDE
