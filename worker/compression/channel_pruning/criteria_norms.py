"""Criteria that follow from the weights alone. F: all weights that make a channel, as one vector, over coupled layers.

l1                Σ |F|                                          (Li et al. 2017, arXiv:1608.08710)
l2                √ Σ F²
fpgm              Σ_j ‖F − F_j‖, over the channels of the group  (He et al. 2019, arXiv:1811.00250):
                  what lies near the geometric median can be replaced by the others
batchnorm_scale   mean |γ| of its batch normalisations           (Liu et al. 2017, arXiv:1708.06519)
random            uniform, from the seed
"""

import numpy as np
import onnx_ir as ir

from worker.compression.channel_pruning.channel_slices import Initializers, channel_filters
from worker.compression.graph.channels import Group
from worker.compression.ir.arrays import Array


def l1(initializers: Initializers, group: Group) -> Array:
    """Score each channel of the group, float64, as all criteria do."""
    return np.array([np.abs(vector).sum() for vector in channel_filters(initializers, group)])


def l2(initializers: Initializers, group: Group) -> Array:
    return np.array([np.linalg.norm(vector) for vector in channel_filters(initializers, group)])


def fpgm(initializers: Initializers, group: Group) -> Array:
    vectors = channel_filters(initializers, group)
    table = np.zeros((len(vectors), max(map(len, vectors))))
    for row, vector in zip(table, vectors, strict=True):
        row[: len(vector)] = vector
    squares = (table**2).sum(1)
    distances = squares[:, None] + squares - 2 * table @ table.T
    sums: Array = np.sqrt(np.maximum(distances, 0)).sum(1)
    return sums


def batchnorm_scale(model: ir.Model, initializers: Initializers, group: Group) -> Array | None:
    """Average |γ| of each channel; None where a channel has no batch normalisation with a scale of its own."""
    scales = {
        value.name
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        if node.op_type == "BatchNormalization" and (value := node.inputs[1]) is not None
    }
    magnitudes = [
        [np.abs(initializers.slice(part)).mean() for part in channel.parts if part.initializer in scales]
        for channel in group.channels
    ]
    return np.array([np.mean(each) for each in magnitudes]) if all(magnitudes) else None


def random(group: Group, generator: np.random.Generator) -> Array:
    return generator.random(len(group.channels))
