"""Add constants to a graph."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir


def new_constant(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """Add an initializer to the graph, under a name that is free."""
    return registered(graph, ir.tensor(np.asarray(array, order="C"), name=name))


def registered(graph: ir.Graph, tensor: ir.TensorProtocol) -> ir.Value:
    """Add a tensor that has its name as an initializer, wherever its bytes lie."""
    shape = ir.Shape(tensor.shape.numpy())
    value = ir.Value(name=tensor.name, shape=shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value
