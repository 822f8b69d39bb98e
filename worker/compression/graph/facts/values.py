"""List the values of a graph with what is known of them, as much as can be kept."""

from typing import Any, Final

import onnx_ir as ir

from winnow.contract.graph_values import ValueKind, ValueKinds
from worker.compression.graph.nodes.weights import dtype_name

MAX_VALUES: Final = 5_000
MAX_CHARACTERS: Final = 500_000
"""Of all names, and of all that is said of the kinds: the facts are read at every submission."""


def values_of(model: ir.Model, shaped: ir.Model) -> dict[str, Any]:
    """List what `features` of a distillation can name: inputs, and outputs of the graph's own nodes.

    `shaped` is the model with what follows from its inputs' shapes at batch 1. Returns the fields of `ModelFacts`, both
    null where there is too much to keep.
    """
    values = [value for value in _all(model.graph) if value.name]
    names = [str(value.name) for value in values]
    if len(names) > MAX_VALUES or sum(map(len, names)) > MAX_CHARACTERS:
        return {"values": None, "value_kinds": None}
    inferred = {value.name: value.shape for value in _all(shaped.graph)}
    places: dict[str, int] = {}
    kinds, of, characters = list[ValueKind](), list[int](), 0
    for value in values:
        kind = _kind(value, value.shape if value.shape is not None else inferred.get(value.name))
        text = kind.model_dump_json()
        if text not in places:
            places[text] = len(kinds)
            kinds.append(kind)
            characters += len(text)
        of.append(places[text])
    whole = characters <= MAX_CHARACTERS
    return {"values": names, "value_kinds": ValueKinds(kinds=kinds, of=of) if whole else None}


def _all(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *(value for node in graph for value in node.outputs)]


def _kind(value: ir.Value, shape: ir.Shape | None) -> ValueKind:
    producer = value.producer()
    dims = None if shape is None else [d if isinstance(d, int) else d.value for d in shape]
    return ValueKind(
        dtype=type_name(value), shape=dims, operator=None if producer is None else operator_name(producer)
    )


def operator_name(node: ir.Node) -> str:
    """Its operator; other domains than ONNX's are named."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def type_name(value: ir.Value) -> str:
    """numpy's name of the elements' type; `sequence`, `optional` and the like for what is no tensor."""
    if isinstance(value.type, ir.TensorType):
        return dtype_name(value.type.dtype)
    return "unknown" if value.type is None else type(value.type).__name__.removesuffix("Type").lower()
