"""Casts in a graph, and whether numbers survive one: what float16 and bfloat16 have in common."""

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.ir.naming import Names


def insert_cast(graph: ir.Graph, value: ir.Value, to: ir.DataType, name: str, names: Names) -> ir.Value:
    """Insert a Cast of `value` behind the node that makes it; of inputs and constants before all nodes, since subgraphs
    may read it too. Returns its output, called `name`, which nothing reads yet."""
    node = ir.node("Cast", [value], {"to": to.value}, name=names.fresh(f"{name}_Cast"))
    output = node.outputs[0]
    output.name, output.shape, output.type = name, value.shape, ir.TensorType(to)
    if (producer := value.producer()) is not None:
        graph.insert_after(producer, node)
    else:
        graph.insert_before(graph[0], node)
    return output


def max_finite(array: npt.NDArray[np.floating]) -> float:
    """The largest magnitude that is neither infinite nor NaN; 0 of none."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0))
