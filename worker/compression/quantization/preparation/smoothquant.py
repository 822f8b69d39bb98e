"""SmoothQuant: outliers of activations go into the weights, where every output has a scale of its own.

    Y = X W = (X S⁻¹)(S W),    s_j = max|X_j|^α / max|W_j|^(1−α)          (Xiao et al. 2023, arXiv:2211.10438)

S⁻¹ goes into the layer normalisation before, where all that reads it are layers that are smoothed; else a Mul is put in
front. Layers that read one value share its S.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.layers.channel_statistics import Channels
from worker.compression.layers.linear import Linear
from worker.compression.quantization.preparation.channel_scaling import scale_inputs

LEAST_MAXIMUM = 1e-5
"""What a smaller maximum counts as, and the least factor: both as in the authors' code."""


def smooth(edit: GraphEdit, layers: Sequence[Linear], channels: Mapping[str, Channels], alpha: float) -> int:
    """Smooth the Gemm and MatMul among the layers, and answer how many. `channels`: of each layer's data, by its
    name."""
    readers: dict[str, list[Linear]] = defaultdict(list)
    for layer in layers:
        if layer.node.op_type != "Conv" and layer.name in channels:
            readers[layer.data].append(layer)
    for group in readers.values():
        factors = _factors(group, channels[group[0].name], alpha)
        for layer in group:
            scale_inputs(layer, factors)
        if not _into_normalisation(edit, group, factors):
            _multiply(edit, group, factors)
    return sum(map(len, readers.values()))


def behind_normalisation(layer: Linear) -> bool:
    """Whether it multiplies what a layer normalisation gives, where outliers are few channels, the same in all rows."""
    value = layer.node.inputs[0]
    norm = value.producer() if value is not None else None
    return layer.node.op_type != "Conv" and norm is not None and norm.op_type == "LayerNormalization"


def _factors(group: Sequence[Linear], channels: Channels, alpha: float) -> Array:
    weights = np.max([np.abs(layer.matrix()).max(axis=(0, 1)) for layer in group], axis=0)
    x, w = np.maximum(channels.largest, LEAST_MAXIMUM), np.maximum(weights, LEAST_MAXIMUM)
    return np.asarray(np.maximum(x**alpha / w ** (1 - alpha), LEAST_MAXIMUM))


def _into_normalisation(edit: GraphEdit, group: Sequence[Linear], factors: Array) -> bool:
    """Divide the normalisation's scale and shift; False, and nothing done, where others read what it gives."""
    value = group[0].node.inputs[0]
    norm = value.producer() if value is not None else None
    if value is None or norm is None or not behind_normalisation(group[0]) or value.is_graph_output():
        return False
    nodes = {layer.node for layer in group}
    constants = [v for v in norm.inputs[1:] if v is not None]
    if any(use.node not in nodes for use in value.uses()) or not all(
        v.const_value is not None and v.const_value.numpy().shape == factors.shape for v in constants
    ):
        return False
    for index, constant in enumerate(norm.inputs[1:], 1):
        if constant is not None and constant.const_value is not None:
            scaled = (constant.const_value.numpy() / factors).astype(np.float32)
            norm.replace_input_with(index, edit.new_constant(f"{constant.name}_smooth", scaled))
    return True


def _multiply(edit: GraphEdit, group: Sequence[Linear], factors: Array) -> None:
    """Put a Mul in front of the first of the layers, and let all of them read it."""
    value = group[0].node.inputs[0]
    assert value is not None
    scale = edit.new_constant(f"{value.name}_smooth", (1 / factors).astype(np.float32))
    node = edit.new_node("Mul", [value, scale], f"{value.name}_smoothed")
    node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
    first = next(n for n in edit.graph if any(n is layer.node for layer in group))
    edit.graph.insert_before(first, node)
    for layer in group:
        layer.node.replace_input_with(0, node.outputs[0])
