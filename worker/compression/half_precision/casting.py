"""Casts in a graph, and whether numbers survive one: what float16 and bfloat16 have in common."""

from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.graph.nodes.weights import dtype_name
from worker.compression.ir.edit import insert_behind
from worker.compression.ir.naming import Names
from worker.compression.ir.parts import parts

MAX_BFLOAT16: Final = (2.0 - 2.0**-7) * 2.0**127


def insert_cast(graph: ir.Graph, value: ir.Value, to: ir.DataType, name: str, names: Names) -> ir.Value:
    """Insert a Cast of `value` behind the node that makes it. Returns its output, called `name`, which nothing reads
    yet."""
    node = ir.node("Cast", [value], {"to": to.value}, name=names.fresh(f"{name}_Cast"))
    output = node.outputs[0]
    output.name, output.shape, output.type = name, value.shape, ir.TensorType(to)
    insert_behind(graph, value, node)
    return output


def cast_output(graph: ir.Graph, value: ir.Value, to: ir.DataType, names: Names) -> None:
    """Cast an output of the graph to this type, under the name that it has."""
    name = str(value.name)
    value.name = names.fresh(f"{name}_{dtype_name(value.dtype or ir.DataType.FLOAT)}")
    output = insert_cast(graph, value, to, name, names)
    for index, other in enumerate(graph.outputs):
        if other is value:
            graph.outputs[index] = output


def max_finite(array: npt.NDArray[np.floating]) -> float:
    """Find the largest magnitude that is neither infinite nor NaN; 0 of none."""
    finite = (array[part][np.isfinite(array[part])] for part in parts(array))
    return max((float(np.abs(x).max(initial=0)) for x in finite), default=0.0)


def is_end(array: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Whether each number is finite, and the lowest or largest of float32 or bfloat16: no result but a mark, as of what
    attention does not see, or of a logit that is gone."""
    ends: npt.NDArray[np.bool_] = np.isfinite(array) & (np.abs(array) >= MAX_BFLOAT16)
    return ends


def narrowed(array: npt.NDArray[np.floating]) -> npt.NDArray[np.float16]:
    """Round to float16; ends become its ends, and stay finite."""
    largest, halves = np.finfo(np.float16).max, np.empty(array.shape, np.float16)
    for part in parts(array):
        x = array[part]
        halves[part] = np.where(is_end(x), np.copysign(largest, x), x)
    return halves
