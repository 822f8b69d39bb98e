"""Treats the bias of a layer as one more column of its matrix, and says whether it can be changed."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import new_constant
from worker.compression.ir.naming import Names
from worker.compression.ir.values import array_of, is_read_once
from worker.compression.layers.linear import Linear


def takes_bias(layer: Linear) -> bool:
    """Whether it has, or can be given, a constant with one number for each output; a MatMul cannot."""
    if layer.bias is None or layer.node.op_type == "MatMul":
        return layer.node.op_type != "MatMul"
    stored, outputs = layer.bias.const_value, layer.shape[0] * layer.shape[1]
    return stored is not None and tuple(stored.shape.numpy()) in ((outputs,), (1, outputs))


def owns_bias(layer: Linear) -> bool:
    """Whether its bias, if it has one, is such a constant and nothing else reads it."""
    value = layer.bias
    return value is None or (takes_bias(layer) and is_read_once(value))


@dataclass(frozen=True)
class Bias:
    """`columns` is 1 for a layer that has or can be given a bias, 0 for a MatMul."""

    model: ir.Model
    layer: Linear
    columns: int

    def widened(self, x: Array) -> Array:
        """Add the ones that the bias multiplies, float32 [groups, rows, in + columns]."""
        return np.concatenate([x, np.ones((*x.shape[:2], self.columns), np.float32)], 2)

    def joined(self, matrix: Array) -> Array:
        """Add the bias as a column, float64 [groups, out, in + columns]."""
        groups, outer, _ = matrix.shape
        value = self.layer.bias
        numbers = np.zeros(groups * outer) if value is None else array_of(value).astype(np.float64)
        column = numbers.reshape(groups, outer, 1)[:, :, : self.columns]
        return np.concatenate([matrix.astype(np.float64), column], 2)

    def put(self, joined: Array) -> Array:
        """Store the bias column; returns the rest."""
        if not self.columns:
            return joined
        array = np.ascontiguousarray(joined[:, :, -1].reshape(-1), np.float32)
        value = self.layer.bias
        if value is None:
            name = Names(self.model).fresh(f"{self.layer.name}_bias")
            self.layer.node.resize_inputs(3)
            self.layer.node.replace_input_with(2, new_constant(self.model.graph, name, array))
        else:
            value.const_value = ir.tensor(
                array.reshape(array_of(value).astype(np.float64).shape), name=value.name
            )
        return joined[:, :, :-1]


def bias_of(model: ir.Model, layer: Linear) -> Bias | None:
    """Make the bias of a layer; None where it is computed, shared, or not one number for each output: such a layer
    cannot be fitted."""
    return Bias(model, layer, int(takes_bias(layer))) if owns_bias(layer) else None
