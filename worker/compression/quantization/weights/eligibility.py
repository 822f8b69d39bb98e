"""Decides which layers get weights of fewer bits, and why the others do not: products, convolutions, embeddings."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import onnx_ir as ir

from worker.compression.graph.nodes.weights import weights_of
from worker.compression.ir.arrays import Array
from worker.compression.ir.operator_sets import MATMULS, MATMULS_AND_CONV
from worker.compression.ir.values import all_nodes, array_of, tensor_of
from worker.compression.layers.linear import Linear, layers_by_weight, product
from worker.compression.steps.decisions import NOT_SMALLER, LayerDecision
from worker.compression.steps.eligibility import NOT_PLAIN, SHARED, why_ineligible

FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class WeightLayer:
    """A node with a float weight. Nodes with the same weight have the same `linear`; embeddings have none. `tied`: all
    that read the weight, in order, where that is a table and the output head's weight in one."""

    node: ir.Node
    weight: ir.Value
    linear: Linear | None
    tied: tuple[ir.Node, ...] = ()

    @property
    def is_first(self) -> bool:
        """Of those that read its weight."""
        return self.nodes[0] is self.node

    @property
    def nodes(self) -> list[ir.Node]:
        """All that read its weight."""
        if self.tied:
            return list(self.tied)
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
    tied = {node: each for each in _tied(model) for node in each.tied}
    return [
        replace(tied[node], node=node) if node in tied else WeightLayer(node, values[0], products.get(node))
        for node, values in floats
        if values
    ]


def _tied(model: ir.Model) -> Iterator[WeightLayer]:
    """Tables whose rows are gathered and that Gemm read as they lie, and nothing else: one layer of each."""
    for weight in model.graph.initializers.values():
        readers = {use.node for use in weight.uses()}
        if {node.op_type for node in readers} != {"Gather", "Gemm"}:
            continue
        nodes = [node for node in model.graph if node in readers]
        layers = [layer for node in nodes if (layer := product(node)) is not None and layer.outputs_first]
        heads = {layer.node for layer in layers}
        gathers = [node for node in nodes if node.op_type == "Gather" and node.inputs[0] is weight]
        if (
            not layers
            or not gathers
            or weight.is_graph_output()
            or len(weight.uses()) > len(heads) + len(gathers)
        ):
            continue
        if all(gathers_rows(node, weight) for node in gathers):
            linear = replace(layers[0], twins=tuple(layers[1:]))
            yield WeightLayer(nodes[0], weight, linear, tuple(nodes))


def decide(
    layers: Iterable[WeightLayer],
    asked_for: Literal["all", "products"],
    patterns: list[str],
    stored_bytes: Callable[[WeightLayer], float],
    operators: Collection[str] = MATMULS_AND_CONV,
    rule: Callable[[Linear], str | None] = lambda _: None,
) -> list[LayerDecision]:
    """One for each layer. `stored_bytes`: what its weight takes afterwards; a layer that would not get smaller stays.
    `rule`: what else speaks against a product or convolution."""

    def operator_reason(kind: str) -> str | None:
        if kind not in operators:
            return f"{kind} is none of {', '.join(sorted(operators))}"
        return "only products are asked for" if asked_for == "products" and kind not in MATMULS else None

    def own_reason(layer: WeightLayer) -> str | None:
        if any(operator_reason(node.op_type) for node in layer.tied):
            return SHARED
        if layer.tied and layer.linear is not None:
            reason = _why_no_embedding(layer) or rule(layer.linear)
        elif layer.node.op_type == "Gather":
            reason = _why_no_embedding(layer)
        else:
            reason = NOT_PLAIN if layer.linear is None else rule(layer.linear)
        return reason or (NOT_SMALLER if stored_bytes(layer) >= 4 * math.prod(layer.rows) else None)

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
    for first, *others in (layer.nodes for layer in layers):
        for twin in others:
            rows[str(twin.name)]["weight_of"] = str(first.name)


def gathers_rows(node: ir.Node, table: ir.Value) -> bool:
    """Whether a Gather takes whole rows of its table."""
    return node.attributes.get_int("axis", 0) == 0 and len(tensor_of(table).shape) == 2


def _why_no_embedding(layer: WeightLayer) -> str | None:
    if not layer.tied and not gathers_rows(layer.node, layer.weight):
        return "it does not gather whole rows of a matrix"
    return "its rows have an odd length" if layer.rows[1] % 4 else None
