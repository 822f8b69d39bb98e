"""Count what a graph costs: parameters, multiply-accumulates, zeros, and all of it per layer."""

from dataclasses import dataclass

import onnx_ir as ir

from worker.compression.graph.facts.parameters import parameters
from worker.compression.graph.nodes.formulas import node_macs
from worker.compression.graph.nodes.weights import Weight, layers
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.naming import table_name
from worker.compression.ir.values import subgraphs_of

__all__ = ["LayerCost", "layer_table", "macs", "parameters", "sparsity"]


@dataclass(frozen=True)
class LayerCost:
    """A node with a weight: the weight's shape as stored, its dtype looking through DequantizeLinear; of a Gather the
    name of its table."""

    name: str
    op: str
    weight: list[int]
    dtype: str
    parameters: int
    macs: int | None
    size_bytes: int = 0
    table: str | None = None


def macs(model: ir.Model, shapes: dict[str, list[int]] | None = None) -> int | None:
    """Count multiply-accumulates for these input shapes (batch 1 where nothing is given); None where one is unknown.

    Of an If, the dearer branch counts. A loop's body runs an unknown number of times: None if it has linear layers.
    """
    return macs_of_shaped(with_shapes(model, shapes))


def macs_of_shaped(shaped: ir.Model) -> int | None:
    """Count multiply-accumulates of a model whose shapes are inferred for its inputs already."""
    return _graph_macs(shaped.graph)


def sparsity(model: ir.Model) -> float:
    """Share of zeros among the weights of all layers, 0–1. A quantized weight is zero at its zero point."""
    weights = {id(weight.value): weight for _, of_layer in layers(model) for weight in of_layer}.values()
    total = sum(weight.size for weight in weights)
    return sum(map(_count_zeros, weights)) / total if total else 0.0


def _count_zeros(weight: Weight) -> int:
    zeros = weight.zeros()
    release(weight.value)
    return zeros


def layer_table(model: ir.Model, shapes: dict[str, list[int]] | None = None) -> list[LayerCost]:
    """List every node with a weight, in the order of the graph, subgraphs included."""
    return layers_of_shaped(with_shapes(model, shapes))


def layers_of_shaped(shaped: ir.Model) -> list[LayerCost]:
    """List the layers of a model whose shapes are inferred for its inputs already."""
    return [_layer(node, weights) for node, weights in layers(shaped)]


def _layer(node: ir.Node, weights: list[Weight]) -> LayerCost:
    return LayerCost(
        name=node.name or "",
        op=node.op_type,
        weight=weights[0].shape,
        dtype=weights[0].dtype,
        parameters=sum(weight.size for weight in weights),
        macs=node_macs(node),
        size_bytes=sum(weight.nbytes for weight in weights),
        table=table_name(node),
    )


def _graph_macs(graph: ir.Graph) -> int | None:
    total = 0
    for node in graph:
        branches = [_graph_macs(subgraph) for subgraph in subgraphs_of(node)]
        if node.op_type in ("Loop", "Scan", "SequenceMap"):
            branches = [None if cost else cost for cost in branches]
        costs = [node_macs(node), *branches]
        if any(cost is None for cost in costs):
            return None
        total += max(cost for cost in costs if cost is not None)
    return total
