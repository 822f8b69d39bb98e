"""Evens channels out by scales that are folded into the weights around them: the network computes what it did.

    W₂ f(W₁ x + b₁)  =  (W₂ S) f(S⁻¹ W₁ x + S⁻¹ b₁)          over Concat, residual sums, pools and normalisations

    s_k = √(r_k / w_k)    r_k the largest magnitude of the class's channels, w_k of its weights in what reads them
    s_k = r_k             where only depthwise convolutions read it: they have a scale for each channel

Factors are powers of 2, so that not a bit of the outputs is another (but for numbers below the least normal one).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import array_of, required_input
from worker.compression.layers.channel_statistics import Channels
from worker.compression.layers.linear import Linear
from worker.compression.quantization.preparation.channel_scaling import (
    column_sizes,
    scale_inputs,
    scale_outputs,
)
from worker.compression.quantization.preparation.scale_groups.labels import Labels, Place

MAX_FACTOR = 2.0**12
"""From the mean factor, each way: a channel that is almost dead stays so."""


@dataclass(frozen=True)
class Factors:
    """float64 [labels], powers of 2; a channel is divided by its label's."""

    by_label: Array

    def __bool__(self) -> bool:
        return bool((self.by_label != 1).any())


def factors_of(labels: Labels, seen: Mapping[ir.Value, Channels], uneven: set[ir.Value]) -> Factors:
    """Choose the factors of the channels of the `uneven` values; all others keep their scale."""
    classes = labels.classes()
    count = int(classes.max(initial=-1)) + 1
    ranges, wanted = np.zeros(count), np.zeros(count, bool)
    for value, own in _labels_of_values(labels):
        if value in seen and len(seen[value].largest) == len(own):
            np.maximum.at(ranges, classes[own], seen[value].largest)
            wanted[classes[own]] |= value in uneven
    sizes, absorbed = _read_sizes(labels, classes, count)
    free = wanted & ~labels.pinned(classes)
    ranges = _awake(ranges, sizes, free & ~absorbed & (sizes > 0))
    raw = np.where(absorbed, ranges, np.sqrt(ranges / np.where(sizes > 0, sizes, 1)))
    alive = free & (ranges > 0) & ((sizes > 0) | absorbed)
    return Factors(_powers_of_2(raw, alive, _middle(labels, classes, raw, alive, uneven))[classes])


def _labels_of_values(labels: Labels) -> Iterator[tuple[ir.Value, Array]]:
    """Those of a value, and those that it has where it is read behind a Mul."""
    yield from ((value, labelled.labels) for value, labelled in labels.of.items())
    yield from ((required_input(place.node, place.index), place.labels) for place in labels.put_in)


def _awake(ranges: Array, sizes: Array, among: Array) -> Array:
    """Ranges, those of channels that were 0 in all samples included: as if they mattered as much as others, r_k w_k.

    Their weights, unscaled, could be all that counts for the scales of the layers that read them.
    """
    alive, dead = among & (ranges > 0), among & (ranges == 0)
    if not alive.any():
        return ranges
    typical = np.median(ranges[alive] * sizes[alive])
    return np.where(dead, typical / np.where(dead, sizes, 1), ranges)


def _middle(labels: Labels, classes: Array, raw: Array, alive: Array, uneven: set[ir.Value]) -> float:
    """What factors are taken relative to: pinned channels stay as they are, and the others come to their size."""
    kept = labels.pinned(classes)
    beside = [classes[labels.of[value].labels] for value in uneven if value in labels.of]
    fixed = np.unique(np.concatenate([own[kept[own]] for own in beside])) if beside else np.zeros(0, int)
    fixed = fixed[raw[fixed] > 0]
    if len(fixed):
        return float(np.median(raw[fixed]))
    return float(np.exp(np.log(raw[alive]).mean())) if alive.any() else 1.0


def _read_sizes(labels: Labels, classes: Array, count: int) -> tuple[Array, Array]:
    """Of each class its largest share of an output's weights, and whether only depthwise convolutions read it."""
    sizes, others, depthwise = np.zeros(count), np.zeros(count, bool), np.zeros(count, bool)
    for layer, own in labels.consumers:
        at = classes[own]
        if is_depthwise(layer):
            depthwise[at] = True
        else:
            others[at] = True
            np.maximum.at(sizes, at, column_sizes(layer))
    return sizes, depthwise & ~others


def _powers_of_2(raw: Array, alive: Array, middle: float) -> Array:
    exponents = np.zeros(len(raw))
    exponents[alive] = np.round(np.log2(np.clip(raw[alive] / middle, 1 / MAX_FACTOR, MAX_FACTOR)))
    factors: Array = 2.0**exponents
    return factors


def even_out(edit: GraphEdit, labels: Labels, factors: Factors) -> int:
    """Fold the factors into the graph that the labels are of, and answer how many channels' factors are not 1."""
    for layer, own in labels.producers:
        if (factors.by_label[own] != 1).any():
            scale_outputs(layer, 1 / factors.by_label[own])
    for layer, own in labels.consumers:
        if (factors.by_label[own] != 1).any():
            scale_inputs(layer, factors.by_label[own])
    for norm, own in labels.norms:
        for index in range(1, len(norm.inputs)):
            _divide(edit, Place(norm, index, own, -1), factors)
    for place in labels.shifts:
        _divide(edit, place, factors)
    for place in labels.put_in:
        _put_in(edit, place, factors)
    return int((factors.by_label != 1).sum())


def _divide(edit: GraphEdit, place: Place, factors: Factors) -> None:
    """Divide a constant; of one number for all channels it becomes one for each, where they differ."""
    scale, value = factors.by_label[place.labels], place.node.inputs[place.index]
    if value is None or (scale == 1).all():
        return
    constant = array_of(value)
    spread = scale.reshape(-1, *[1] * (-place.axis - 1))
    divided = (constant / spread).astype(np.float32)
    place.node.replace_input_with(place.index, edit.new_constant(f"{value.name}_even", divided))


def _put_in(edit: GraphEdit, place: Place, factors: Factors) -> None:
    """Put a Mul before an input."""
    scale, value = factors.by_label[place.labels], required_input(place.node, place.index)
    if (scale == 1).all():
        return
    numbers = (1 / scale).astype(np.float32).reshape(-1, *[1] * (-place.axis - 1))
    constant = edit.new_constant(f"{value.name}_even", numbers)
    node = edit.new_node("Mul", [value, constant], f"{value.name}_evened")
    node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
    edit.graph.insert_before(place.node, node)
    place.node.replace_input_with(place.index, node.outputs[0])


def is_depthwise(layer: Linear) -> bool:
    """Whether each output reads one channel of its own."""
    return layer.node.op_type == "Conv" and layer.shape[0] > 1 and layer.channels == 1
