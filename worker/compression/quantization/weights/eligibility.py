"""Decides which layers get weights of fewer bits, and why the others do not: products, convolutions, embeddings."""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import onnx_ir as ir

from worker.compression.graph.nodes.weights import weights_of
from worker.compression.ir.arrays import Array
from worker.compression.ir.operator_sets import MATMULS, MATMULS_AND_CONV
from worker.compression.ir.values import all_nodes, array_of, tensor_of
from worker.compression.layers.linear import Linear, layers_by_weight
from worker.compression.steps.decisions import NOT_SMALLER, LayerDecision
from worker.compression.steps.eligibility import NOT_PLAIN, why_ineligible

FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class WeightLayer:
    """A node with a float weight. Nodes with the same weight have the same `linear`; embeddings have none."""

    node: ir.Node
    weight: ir.Value
    linear: Linear | None

    @property
    def is_first(self) -> bool:
        """Of those that read its weight."""
        return self.linear is None or self.linear.node is self.node

    @property
    def nodes(self) -> list[ir.Node]:
        """All that read its weight."""
        return [self.node] if self.linear is None else [reader.node for reader in self.linear.readers]

    @property
    def rows(self) -> tuple[int, int]:
        """Of the weight as a matrix: outputs of all groups (or words of an embedding), inputs."""
        if self.linear is None:
            rows, inner = tensor_of(self.weight).shape.numpy()
            return int(rows), int(inner)
        groups, out, inner = self.linear.shape
        return groups * out, inner

    def matrix(self) -> Array:
        """float32 [groups, out, in]; an embedding is one group. Mapped from the file where nothing has to be turned."""
        if self.linear is not None:
            return self.linear.matrix()
        return array_of(self.weight)[None]


def weight_layers(model: ir.Model) -> list[WeightLayer]:
    """Every node that has a float weight, in order, those of branches and bodies too."""
    products = {reader.node: layer for layer in layers_by_weight(model) for reader in layer.readers}
    floats = (
        (node, [w.value for w in weights_of(node) if w.value.dtype in FLOATS]) for node in all_nodes(model)
    )
    return [WeightLayer(node, values[0], products.get(node)) for node, values in floats if values]


def decide(
    layers: Iterable[WeightLayer],
    asked_for: Literal["all", "products"],
    patterns: list[str],
    stored_bytes: Callable[[int, int], float],
    operators: Collection[str] = MATMULS_AND_CONV,
    rule: Callable[[Linear], str | None] = lambda _: None,
) -> list[LayerDecision]:
    """One for each layer. `stored_bytes`: what a weight of so many rows and inputs takes afterwards; a layer that would
    not get smaller stays. `rule`: what else speaks against a product or convolution."""

    def operator_reason(kind: str) -> str | None:
        if kind not in operators:
            return f"{kind} is none of {', '.join(sorted(operators))}"
        return "only products are asked for" if asked_for == "products" and kind not in MATMULS else None

    def own_reason(layer: WeightLayer) -> str | None:
        if layer.node.op_type == "Gather":
            reason = _why_no_embedding(layer)
        else:
            reason = NOT_PLAIN if layer.linear is None else rule(layer.linear)
        return reason or (NOT_SMALLER if stored_bytes(*layer.rows) >= 4 * math.prod(layer.rows) else None)

    decisions = []
    for layer in layers:
        reason = why_ineligible(
            layer.node,
            [layer.weight],
            patterns,
            operator=operator_reason(layer.node.op_type),
            readers=layer.nodes,
            rule=partial(own_reason, layer),
        )
        decisions.append(LayerDecision(layer.node, reason, reason == NOT_SMALLER))
    return decisions


def first_readers(layers: Iterable[WeightLayer], decisions: Iterable[LayerDecision]) -> list[WeightLayer]:
    """Of the layers that are changed one for each weight."""
    pairs = zip(layers, decisions, strict=True)
    return [layer for layer, decision in pairs if decision.reason is None and layer.is_first]


def name_twins(layers: Iterable[WeightLayer], rows: dict[str, dict[str, object]]) -> None:
    """In the report's rows of nodes that have another's weight, by name: whose."""
    for linear in (layer.linear for layer in layers if layer.linear is not None):
        for twin in linear.twins:
            rows[twin.name]["weight_of"] = linear.name


def gathers_rows(node: ir.Node, table: ir.Value) -> bool:
    """Whether a Gather takes whole rows of its table."""
    return node.attributes.get_int("axis", 0) == 0 and len(tensor_of(table).shape) == 2


def _why_no_embedding(layer: WeightLayer) -> str | None:
    if not gathers_rows(layer.node, layer.weight):
        return "it does not gather whole rows of a matrix"
    return "its rows have an odd length" if layer.rows[1] % 4 else None
