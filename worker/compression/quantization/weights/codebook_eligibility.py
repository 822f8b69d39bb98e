"""Layers whose weights are to take few values, why others stay as they are, and the account of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import onnx_ir as ir

from worker.compression.graph.nodes.weights import weights_of
from worker.compression.layers.linear import Linear
from worker.compression.quantization.weights.eligibility import (
    FLOATS,
    NOT_FINITE,
    PRODUCTS,
    excluded_by,
    finite,
    readers,
)
from worker.compression.steps.decisions import NOT_SMALLER, LayerDecision

Array = np.ndarray[Any, Any]

OPSET: Final = 11
"""The first with the operators that codes are unpacked by."""
NODE_BYTES: Final = 350
"""What the nodes of a layer take in the file, about: those of its codes and those that unpack them."""
FOR_SIZE: Final = (
    "This is for the size of the file: ONNX Runtime makes the weights floats when it loads the model, which then runs "
    "as the float model does; loading takes longer."
)


@dataclass(frozen=True)
class Candidate:
    """A node with a float weight. `reason` says why it stays as it is, None where it can be taken."""

    node: ir.Node
    linear: Linear | None
    reason: str | None

    @property
    def told(self) -> LayerDecision:
        return LayerDecision(self.node, self.reason, self.reason == NOT_SMALLER)


def candidates(
    model: ir.Model,
    layers: Literal["all", "products"],
    exclude: list[str],
    bits: int,
    channel_bytes: int,
    fixed: int,
) -> list[Candidate]:
    """Every node of the main graph that has a float weight. A code takes `bits`, besides `channel_bytes` for each
    output and `fixed` bytes: a layer that would not get smaller stays."""
    found, products = [], readers(model)
    for node in model.graph:
        if any(weight.value.dtype in FLOATS for weight in weights_of(node)):
            layer = products.get(node)
            reason = _reason(node, layer, layers, exclude)
            if reason is None and layer is not None and not _pays(layer, bits, channel_bytes, fixed):
                reason = NOT_SMALLER
            found.append(Candidate(node, layer, reason))
    return found


def taken(found: list[Candidate]) -> Iterator[Linear]:
    """One for each weight."""
    return (
        layer.linear
        for layer in found
        if layer.reason is None and layer.linear is not None and layer.linear.node is layer.node
    )


def per_output(layer: Linear, array: Array) -> Array:
    """One value for each output ([out]) in a shape that broadcasts with the layer's weight as it is stored."""
    groups, out, inner = layer.shape
    spread = np.broadcast_to(array.reshape(groups, out, 1), (groups, out, inner))
    stored = layer.stored(spread)
    if layer.node.op_type == "Conv" or layer.outputs_first:
        return np.ascontiguousarray(stored[(slice(None), *[slice(0, 1)] * (stored.ndim - 1))])
    return np.ascontiguousarray(stored[:1])


def _reason(node: ir.Node, layer: Linear | None, layers: str, exclude: list[str]) -> str | None:
    if (why := excluded_by(node, layer, exclude)) is not None:
        return why
    if node.op_type not in (*PRODUCTS, "Conv"):
        return "it is no Conv, Gemm or MatMul"
    if layers == "products" and node.op_type not in PRODUCTS:
        return "only products are asked for"
    if layer is None:
        return "its weight is not a float32 constant that such layers alone read, or the product is scaled"
    return None if finite(layer.weight) else NOT_FINITE


def _pays(layer: Linear, bits: int, channel_bytes: int, fixed: int) -> bool:
    groups, out, inner = layer.shape
    size = groups * out * inner
    return size * bits / 8 + groups * out * channel_bytes + fixed + NODE_BYTES < 4 * size
