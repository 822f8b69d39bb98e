"""The bias of a layer as one more column of its matrix, made where there is none."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from worker.compression.graph.constants import new_constant
from worker.compression.graph.naming import Names
from worker.compression.layerwise.linear import Linear
from worker.compression.observe import Array


@dataclass(frozen=True)
class Bias:
    """`columns` is 1 for a layer that has or can be given a bias, 0 for a MatMul."""

    model: ir.Model
    layer: Linear
    columns: int

    def widened(self, x: Array) -> Array:
        """float32 [groups, rows, in + columns]: what the matrix with its bias multiplies."""
        return np.concatenate([x, np.ones((*x.shape[:2], self.columns), np.float32)], 2)

    def joined(self, matrix: Array) -> Array:
        """float64 [groups, out, in + columns]"""
        groups, outer, _ = matrix.shape
        value = self.layer.bias
        numbers = np.zeros(groups * outer) if value is None else _stored(value)
        column = numbers.reshape(groups, outer, 1)[:, :, : self.columns]
        return np.concatenate([matrix.astype(np.float64), column], 2)

    def put(self, joined: Array) -> Array:
        """Store the bias column; answers the rest."""
        if not self.columns:
            return joined
        array = np.ascontiguousarray(joined[:, :, -1].reshape(-1), np.float32)
        value = self.layer.bias
        if value is None:
            name = Names(self.model).fresh(f"{self.layer.name}_bias")
            self.layer.node.resize_inputs(3)
            self.layer.node.replace_input_with(2, new_constant(self.model.graph, name, array))
        else:
            value.const_value = ir.tensor(array, name=value.name)
        return joined[:, :, :-1]


def bias_of(model: ir.Model, layer: Linear) -> Bias | None:
    """None where the bias is computed, shared, or not one number for each output: the layer cannot be fitted."""
    if layer.node.op_type == "MatMul":
        return Bias(model, layer, 0)
    value = layer.bias
    if value is None:
        return Bias(model, layer, 1)
    groups, outer, _ = layer.shape
    stored = value.const_value
    own = stored is not None and stored.dtype == ir.DataType.FLOAT and len(value.uses()) == 1
    return Bias(model, layer, 1) if own and tuple(_stored(value).shape) == (groups * outer,) else None


def _stored(value: ir.Value) -> Array:
    assert value.const_value is not None
    return value.const_value.numpy().astype(np.float64)
