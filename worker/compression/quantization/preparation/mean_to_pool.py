"""A mean over all of an image becomes GlobalAveragePool, which has an integer kernel; ReduceMean has none.

    ReduceMean(x [N, C, H, W], axes 2 and 3)  =  GlobalAveragePool(x), squeezed where the axes are not kept

Exporters write one or the other for the same layer. The node keeps its name.
"""

import numpy as np
import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import input_at

SPATIAL = {2, 3}


def replace_means_with_pools(edit: GraphEdit) -> None:
    """Write GlobalAveragePool for every mean over the whole of an image; excluded nodes stay."""
    for node in [node for node in edit.graph if _is_pool(node) and edit.may_change(node)]:
        edit.replace_node(node, _pool(edit, node))


def _is_pool(node: ir.Node) -> bool:
    if node.op_type != "ReduceMean" or node.domain not in ("", "ai.onnx"):
        return False
    data, axes = node.inputs[0], _axes(node)
    return data is not None and data.shape is not None and len(data.shape) == 4 and axes == SPATIAL


def _axes(node: ir.Node) -> set[int]:
    """An attribute up to opset 17, then an input; empty where unknown."""
    if "axes" in node.attributes:
        axes = list(node.attributes["axes"].as_ints())
    else:
        value = input_at(node, 1)
        axes = [] if value is None or value.const_value is None else value.const_value.numpy().tolist()
    return {axis % 4 for axis in axes}


def _pool(edit: GraphEdit, mean: ir.Node) -> list[ir.Node]:
    """The pool, and a Squeeze behind it where the mean drops its axes."""
    data = mean.inputs[0]
    pool = ir.node("GlobalAveragePool", [data])
    if "keepdims" not in mean.attributes or mean.attributes["keepdims"].as_int() != 0:
        return [pool]
    assert data is not None
    assert data.shape is not None
    name, pooled = mean.outputs[0].name, pool.outputs[0]
    pooled.name = edit.fresh_name(f"{name}_pooled")
    pooled.shape, pooled.type = ir.Shape([*data.shape[:2], 1, 1]), mean.outputs[0].type
    axes = edit.new_constant(f"{name}_axes", np.array([2, 3], np.int64))
    return [pool, ir.node("Squeeze", [pooled, axes], name=edit.fresh_name(f"{mean.name}_Squeeze"))]
