"""Splits channels that are outliers into equal parts, so that the range of all of them shrinks and no weight grows
(outlier channel splitting, Zhao et al. 2019, arXiv:1901.09504).

    x_c w_c = k (x_c / k) w_c        channel c stands there k times, divided by k, and so does its row of weights

A Gather repeats the channels and a Mul divides them. Channels of zeros fill up to a multiple of 16, of which integer
kernels compute as many at once.
"""

from collections.abc import Sequence

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import array_of, required_input
from worker.compression.layers.linear import Linear

MOST_ADDED = 1 / 8
"""Of the channels."""
ALIGNED = 16


def parts_of(largest: Array) -> Array:
    """Into how many parts each channel goes, int64 [channels], by their `largest` magnitudes [channels].

    So many that all parts are at most t, the least t for which `MOST_ADDED` suffices.
    """
    most = int(MOST_ADDED * len(largest))
    wanted = np.sort(np.concatenate([largest / parts for parts in range(1, most + 2)]))
    low, high = 0, len(wanted) - 1
    while low < high:
        middle = (low + high) // 2
        if _added(largest, wanted[middle]) <= most:
            high = middle
        else:
            low = middle + 1
    return _parts(largest, wanted[high])


def _parts(largest: Array, bound: float) -> Array:
    if bound <= 0:
        return np.ones(len(largest), np.int64)
    bounded = np.minimum(
        largest, bound * (len(largest) + 1)
    )  # of a channel that is almost dead, parts have no bound
    return np.maximum(1, np.ceil(bounded / bound * (1 - 1e-12)).astype(np.int64))


def _added(largest: Array, bound: float) -> float:
    return np.inf if bound <= 0 < largest.max() else float(_parts(largest, bound).sum() - len(largest))


def split_channels(edit: GraphEdit, layers: Sequence[Linear], parts: Array) -> None:
    """Split the channels of what these layers read, which is one value, into so many parts each [channels]."""
    value, axis = required_input(layers[0].node, 0), layers[0].channel_axis
    places = np.repeat(np.arange(len(parts)), parts)
    shares = np.repeat(1 / parts, parts)
    filled = -len(places) % ALIGNED
    places, shares = np.pad(places, (0, filled)), np.pad(shares, (0, filled))
    indices = edit.new_constant(f"{value.name}_parts", places)
    spread = shares.astype(np.float32).reshape(-1, *[1] * (len(layers[0].dims) - 2))
    factors = edit.new_constant(f"{value.name}_shares", spread)
    gather = edit.new_node("Gather", [value, indices], f"{value.name}_repeated", {"axis": axis})
    divide = edit.new_node("Mul", [gather.outputs[0], factors], f"{value.name}_split")
    for node in (gather, divide):
        node.outputs[0].type = value.type
    first = next(node for node in edit.graph if node in {layer.node for layer in layers})
    edit.graph.insert_before(first, [gather, divide])
    for layer in layers:
        along = layer.weight_axis
        rows = np.moveaxis(array_of(layer.weight).take(places, along), along, -1)
        rows = np.moveaxis(np.where(shares > 0, rows, 0), -1, along)
        layer.node.replace_input_with(0, divide.outputs[0])
        layer.node.replace_input_with(1, edit.new_constant(f"{layer.name}_split", rows))
