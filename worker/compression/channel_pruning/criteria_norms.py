"""Criteria that follow from the weights alone. F is all that makes a channel: one vector, over all coupled layers.

l1                Σ |F|                                          (Li et al. 2017, arXiv:1608.08710)
l2                √ Σ F²
fpgm              Σ_j ‖F − F_j‖, over the channels of the group  (He et al. 2019, arXiv:1811.00250):
                  what lies near the geometric median can be replaced by the others
batchnorm_scale   mean |γ| of its batch normalisations           (Liu et al. 2017, arXiv:1708.06519)
random            uniform, from the seed
"""

import numpy as np
import onnx_ir as ir

from worker.compression.channel_pruning.channel_slices import Stored, filters
from worker.compression.graph.channels import Group
from worker.compression.runtime.observe import Array


def l1(stored: Stored, group: Group) -> Array:
    """float64, one number for each channel, as of all criteria."""
    return np.array([np.abs(vector).sum() for vector in filters(stored, group)])


def l2(stored: Stored, group: Group) -> Array:
    return np.array([np.linalg.norm(vector) for vector in filters(stored, group)])


def fpgm(stored: Stored, group: Group) -> Array:
    vectors = filters(stored, group)
    table = np.zeros((len(vectors), max(map(len, vectors))))
    for row, vector in zip(table, vectors, strict=True):
        row[: len(vector)] = vector
    squares = (table**2).sum(1)
    distances = squares[:, None] + squares - 2 * table @ table.T
    found: Array = np.sqrt(np.maximum(distances, 0)).sum(1)
    return found


def batchnorm_scale(model: ir.Model, stored: Stored, group: Group) -> Array | None:
    """None where no batch normalisation of the group has a scale of its own for each channel."""
    scales = {
        value.name
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        if node.op_type == "BatchNormalization" and (value := node.inputs[1]) is not None
    }
    found = [
        [np.abs(stored.slice(part)).mean() for part in channel.parts if part.initializer in scales]
        for channel in group.channels
    ]
    return np.array([np.mean(each) for each in found]) if all(found) else None


def random(group: Group, generator: np.random.Generator) -> Array:
    return generator.random(len(group.channels))
