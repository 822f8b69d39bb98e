"""A mean over all of an image becomes GlobalAveragePool, which has an integer kernel; ReduceMean has none.

    ReduceMean(x [N, C, H, W], axes 2 and 3)  =  GlobalAveragePool(x), squeezed where the axes are not kept

Exporters write one or the other for the same layer. The node keeps its name.
"""

import numpy as np
import onnx_ir as ir

from worker.compression.ir.constants import new_constant
from worker.compression.ir.naming import Names, excluded

SPATIAL = {2, 3}


def pools_for_means(model: ir.Model, patterns: list[str]) -> None:
    """In place; excluded nodes stay."""
    names = Names(model)
    for node in [node for node in model.graph if _is_pool(node) and not excluded(node, patterns)]:
        _replace(model.graph, node, names)


def _is_pool(node: ir.Node) -> bool:
    if node.op_type != "ReduceMean" or node.domain not in ("", "ai.onnx"):
        return False
    data, axes = node.inputs[0], _axes(node)
    return data is not None and data.shape is not None and len(data.shape) == 4 and axes == SPATIAL


def _axes(node: ir.Node) -> set[int]:
    """An attribute up to opset 17, then an input; empty where unknown."""
    if "axes" in node.attributes:
        given = list(node.attributes["axes"].as_ints())
    else:
        value = node.inputs[1] if len(node.inputs) > 1 else None
        given = [] if value is None or value.const_value is None else value.const_value.numpy().tolist()
    return {axis % 4 for axis in given}


def _replace(graph: ir.Graph, mean: ir.Node, names: Names) -> None:
    before = mean.outputs[0]
    pool = ir.node("GlobalAveragePool", [mean.inputs[0]])
    nodes = [pool]
    if "keepdims" in mean.attributes and mean.attributes["keepdims"].as_int() == 0:
        pool.outputs[0].name = names.fresh(f"{before.name}_pooled")
        data = mean.inputs[0]
        assert data is not None
        assert data.shape is not None
        pool.outputs[0].shape, pool.outputs[0].type = ir.Shape([*data.shape[:2], 1, 1]), before.type
        nodes.append(ir.node("Squeeze", [pool.outputs[0], _constant(graph, [2, 3], names.fresh(f"{before.name}_axes"))],
                             name=names.fresh(f"{mean.name}_Squeeze")))  # fmt: skip
    name, after = mean.name, nodes[-1].outputs[0]
    after.shape, after.type = before.shape, before.type
    graph.insert_before(mean, nodes)
    ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
    wanted, before.name = before.name, None
    graph.remove(mean, safe=True)
    after.name, pool.name = wanted, name


def _constant(graph: ir.Graph, numbers: list[int], name: str) -> ir.Value:
    return new_constant(graph, name, np.array(numbers, np.int64))
