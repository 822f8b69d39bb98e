"""Folds batch normalisation into the convolution before it, so that the two become one integer kernel.

    γ (w·x + b − μ) / √(σ² + ε) + β  =  (w γ/√(σ²+ε)) · x  +  (b − μ) γ/√(σ²+ε) + β       (Jacob et al. 2018)

The node keeps its name. Runtimes do the same for a float model; between Q/DQ pairs they no longer can.
"""

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.naming import Names
from worker.compression.ir.values import input_at

EPSILON = 1e-5
"""Of BatchNormalization, where the node gives none."""
ROLES = ("input", "scale", "bias", "mean", "variance")


def fold_batchnorms(edit: GraphEdit) -> int:
    """Fold what can be folded in the main graph, and answer how many were; excluded nodes stay."""
    pairs = [(node, conv) for node in edit.graph if (conv := _foldable(edit, node)) is not None]
    for norm, conv in pairs:
        _fold(edit, norm, conv)
    return len(pairs)


def untie_batchnorms(model: ir.Model) -> None:
    """Give every batch normalisation initializers of its own, in place: exporters join equal ones, and in a network
    that was never trained statistics and weights are equal, of all of its normalisations. Statistics have no gradient,
    and what one of them loses or learns is not the other's."""
    names = Names(model)
    for node in model.graph:
        if node.op_type != "BatchNormalization" or node.domain not in ("", "ai.onnx"):
            continue
        for index, value in enumerate(node.inputs):
            if value is not None and value.is_initializer() and len(value.uses()) > 1:
                fresh = names.fresh(f"{node.name}_{ROLES[index]}")
                copy = ir.Value(name=fresh, type=value.type, shape=value.shape, const_value=value.const_value)
                model.graph.register_initializer(copy)
                node.replace_input_with(index, copy)


def _foldable(edit: GraphEdit, norm: ir.Node) -> ir.Node | None:
    """The convolution that this batch normalisation goes into."""
    if norm.op_type != "BatchNormalization" or norm.domain not in ("", "ai.onnx"):
        return None
    conv = norm.inputs[0].producer() if norm.inputs[0] is not None else None
    if conv is None or conv.op_type != "Conv" or conv.graph is not norm.graph:
        return None
    alone = len(conv.outputs[0].uses()) == 1 and not conv.outputs[0].is_graph_output()
    constant = all(_array(norm, i) is not None for i in range(1, 5)) and _array(conv, 1) is not None
    biased = len(conv.inputs) < 3 or conv.inputs[2] is None or _array(conv, 2) is not None
    trains = "training_mode" in norm.attributes and norm.attributes["training_mode"].as_int() == 1
    if not (alone and constant and biased) or trains or any(o.uses() for o in norm.outputs[1:]):
        return None
    return conv if edit.may_change(conv) and edit.may_change(norm) else None


def _fold(edit: GraphEdit, norm: ir.Node, conv: ir.Node) -> None:
    gamma, beta, mean, variance = (_float(norm, i) for i in range(1, 5))
    epsilon = norm.attributes["epsilon"].as_float() if "epsilon" in norm.attributes else EPSILON
    factor = gamma / np.sqrt(variance + epsilon)
    weight = _float(conv, 1)
    bias = _float(conv, 2) if _array(conv, 2) is not None else np.zeros_like(mean)
    scaled = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    conv.resize_inputs(3)
    shifted = (bias - mean) * factor + beta
    wish = f"{conv.inputs[1].name}_folded"  # type: ignore[union-attr]
    conv.replace_input_with(1, edit.new_constant(wish, scaled.astype(np.float32)))
    conv.replace_input_with(2, edit.new_constant(f"{conv.name}_bias_folded", shifted.astype(np.float32)))
    _bridge(edit.graph, norm, conv)


def _bridge(graph: ir.Graph, norm: ir.Node, conv: ir.Node) -> None:
    """Let the convolution's output take the place of the normalisation's, under that name."""
    before, after = conv.outputs[0], norm.outputs[0]
    before.shape, before.type = after.shape, after.type
    ir.convenience.replace_all_uses_with(after, before, replace_graph_outputs=True)
    graph.remove(norm, safe=True)
    before.name = after.name


def _array(node: ir.Node, index: int) -> ir.TensorProtocol | None:
    value = input_at(node, index)
    tensor = value.const_value if value is not None else None
    return tensor if tensor is not None and tensor.dtype == ir.DataType.FLOAT else None


def _float(node: ir.Node, index: int) -> Array:
    tensor = _array(node, index)
    assert tensor is not None
    return tensor.numpy().astype(np.float64)
