"""Multiply the channels of a layer's input or output by numbers, by way of its weight and bias."""

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.layers.linear import Linear


def column_sizes(layer: Linear) -> Array:
    """float64 [input channels]: the largest share that a channel's weights have of the largest weight of an output.

    Weights have a scale per output, so what counts is their size beside the others of the same output.
    """
    matrix = np.abs(layer.matrix()).astype(np.float64)
    shares = matrix / np.maximum(matrix.max(axis=2, keepdims=True), np.finfo(np.float32).tiny)
    sizes: Array = shares.max(axis=1).reshape(layer.groups * layer.channels, -1).max(axis=1)
    return sizes


def scale_inputs(layer: Linear, factors: Array) -> None:
    """The layer takes data divided by `factors` [input channels], and gives what it gave."""
    layer.put(layer.matrix() * layer.by_column(factors)[:, None, :].astype(np.float32))


def scale_outputs(layer: Linear, factors: Array) -> None:
    """The layer gives its output multiplied by `factors` [output channels]. Its bias has to be its own."""
    matrix = layer.matrix()
    layer.put(matrix * factors.reshape(matrix.shape[0], matrix.shape[1], 1).astype(np.float32))
    bias = layer.bias
    if bias is not None and bias.const_value is not None:
        scaled = (bias.const_value.numpy() * factors).astype(np.float32)
        bias.const_value = ir.tensor(scaled, name=bias.name)
