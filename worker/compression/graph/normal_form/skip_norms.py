"""Takes ONNX Runtime's SkipLayerNormalization apart, so that residual streams are seen in models that it has fused.

    SkipLayerNormalization(x, skip, γ, β, bias)  →  s = x + (skip + bias);  LayerNormalization(s, γ, β)

The bias was that of a MatMul, of which ONNX Runtime makes `skip` or x: it is added there, so that what is left of x is
the stream. s is the fourth output; a node of which the statistics are read stays, and so do all before opset 17, which
has no LayerNormalization.
"""

from typing import Final

import onnx_ir as ir

from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.operator_sets import MATMULS

HAS_LAYER_NORMALIZATION: Final = 17
EPSILON: Final = 1e-12
"""ONNX Runtime's own, where a node says none."""
X, SKIP, SCALE, SHIFT, BIAS = range(5)
NORMALISED, SUM = 0, 3


class TakeSkipNormsApart(ir.passes.InPlacePass):
    """Write every SkipLayerNormalization of the main graph as Add and LayerNormalization."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        if opset_of(model) < HAS_LAYER_NORMALIZATION:
            return ir.passes.PassResult(model, modified=False)
        edit = GraphEdit(model)
        fused = [node for node in edit.graph if _is_plain(node)]
        for node in fused:
            _take_apart(edit, node)
        return ir.passes.PassResult(model, modified=bool(fused))


def _is_plain(node: ir.Node) -> bool:
    if (node.domain, node.op_type) != ("com.microsoft", "SkipLayerNormalization"):
        return False
    statistics = node.outputs[NORMALISED + 1 : SUM]
    return not any(value.uses() or value.is_graph_output() for value in statistics)


def _take_apart(edit: GraphEdit, node: ir.Node) -> None:
    inputs = [*node.inputs, None, None][: BIAS + 1]
    out, nodes = str(node.outputs[NORMALISED].name), list[ir.Node]()
    if inputs[BIAS] is not None:
        place = X if _is_product(inputs[X]) else SKIP
        nodes.append(edit.new_node("Add", [inputs[place], inputs[BIAS]], f"{out}_biased"))
        inputs[place] = nodes[-1].outputs[0]
    nodes.append(edit.new_node("Add", inputs[: SKIP + 1], f"{out}_sum"))
    attributes = {"axis": -1, "epsilon": node.attributes.get_float("epsilon", EPSILON)}
    read = [nodes[-1].outputs[0], inputs[SCALE], *([] if inputs[SHIFT] is None else [inputs[SHIFT]])]
    nodes.append(edit.new_node("LayerNormalization", read, f"{out}_normalised", attributes))
    edit.graph.insert_before(node, nodes)
    replaced = [(node.outputs[NORMALISED], nodes[-1].outputs[0])]
    replaced += [(value, nodes[-2].outputs[0]) for value in node.outputs[SUM:]]
    for before, after in replaced:
        name, after.shape, after.type = before.name, before.shape, before.type
        ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
        if name:
            before.name, after.name = None, name
    edit.graph.remove(node, safe=True)


def _is_product(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type in MATMULS
