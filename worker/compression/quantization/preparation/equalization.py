"""Cross-layer equalisation: channels between two layers get ranges alike, and the network stays the same.

For a function f between them with f(s x) = s f(x), s > 0 (nothing, Relu, LeakyRelu, pooling):

    W₂ f(W₁ x + b₁)  =  (W₂ S) f(S⁻¹ W₁ x + S⁻¹ b₁)                     (Nagel et al. 2019, arXiv:1906.04721)

    s_c = √(r_c / w_c)    r_c the channel's largest magnitude on the calibration data, w_c that of its weights in W₂
    s_c = r_c             where W₂ is depthwise: it has a scale for each channel, which takes up any s

The paper takes the range of W₁'s row for r_c; activations are what has one scale for all channels here.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.values import is_read_once
from worker.compression.layers.bias import owns_bias
from worker.compression.layers.channel_statistics import Channels
from worker.compression.layers.linear import Linear
from worker.compression.quantization.preparation.channel_scaling import (
    column_sizes,
    scale_inputs,
    scale_outputs,
)

HOMOGENEOUS = frozenset({"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool"})
MAX_FACTOR = 1e3
"""From a pair's mean factor, each way: a channel that is almost dead stays so."""


def equalize(layers: Sequence[Linear], channels: Mapping[str, Channels]) -> int:
    """Equalise every pair of layers, and answer how many there were. `channels`: of each layer's data, by its name."""
    by_node = {layer.node: layer for layer in layers}
    pairs = [
        (first, second)
        for second in layers
        if second.name in channels and (first := _before(second, by_node)) is not None
    ]
    for first, second in pairs:
        factors = _factors(second, channels[second.name])
        scale_outputs(first, 1 / factors)
        scale_inputs(second, factors)
    return len(pairs)


def _before(layer: Linear, by_node: Mapping[ir.Node, Linear]) -> Linear | None:
    """The layer whose output alone this one reads, through functions that scale."""
    value = layer.node.inputs[0]
    while value is not None and is_read_once(value):
        node = value.producer()
        if node is None:
            return None
        if (before := by_node.get(node)) is not None:
            outputs = before.shape[0] * before.shape[1]
            alike = outputs == layer.groups * layer.channels and before.node.op_type == layer.node.op_type
            return before if alike and owns_bias(before) else None
        if node.op_type not in HOMOGENEOUS:
            return None
        value = node.inputs[0]
    return None


def _factors(layer: Linear, channels: Channels) -> Array:
    """float64 [channels], around 1."""
    ranges, sizes = channels.largest, column_sizes(layer)
    depthwise = layer.shape[0] == len(ranges)
    raw = ranges if depthwise else np.sqrt(ranges / np.where(sizes > 0, sizes, 1))
    alive = (ranges > 0) & (sizes > 0)
    if not alive.any():
        return np.ones(len(ranges))
    middle = np.exp(np.log(raw[alive]).mean())
    return np.where(alive, np.clip(raw / middle, 1 / MAX_FACTOR, MAX_FACTOR), 1.0)
