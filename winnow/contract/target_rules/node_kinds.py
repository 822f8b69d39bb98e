"""From the messages of a graph to the kinds of its nodes."""

from collections import ChainMap
from collections.abc import MutableMapping
from dataclasses import dataclass
from math import prod
from typing import Final

from winnow.contract.target_rules.graph import STANDARD, NodeInput, NodeKind
from winnow.contract.target_rules.onnx_messages import Graph, Node, Tensor, Value

DEQUANTIZE: Final = "DequantizeLinear"


@dataclass(frozen=True)
class Scope:
    """What is known of values by their names: of this graph, and of those around it."""

    constants: MutableMapping[str, Tensor]
    values: MutableMapping[str, Value]
    producers: MutableMapping[str, Node]
    readers: MutableMapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, graph: Graph, around: "Scope | None" = None) -> "Scope":
        constants = {tensor.name: tensor for tensor in graph.initializers}
        constants |= {
            node.outputs[0]: node.constant for node in graph.nodes if node.constant and node.outputs
        }
        values = {value.name: value for value in (*graph.values, *graph.inputs, *graph.outputs)}
        producers = {name: node for node in graph.nodes for name in node.outputs}
        readers: dict[str, dict[str, None]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                readers.setdefault(name, {})[operator_of(node)] = None
        own = {name: tuple(found) for name, found in readers.items()}
        if around is None:
            return cls(constants, values, producers, own)
        return cls(
            ChainMap(constants, around.constants),
            ChainMap(values, around.values),
            ChainMap(producers, around.producers),
            ChainMap(own, around.readers),
        )


def operator_of(node: Node) -> str:
    return operator_name(node.domain, node.op)


def operator_name(domain: str, op: str) -> str:
    """With the domain where it is not ONNX's own."""
    return op if domain in STANDARD else f"{domain}.{op}"


def kinds_of(graph: Graph, scope: Scope, functions: set[str]) -> tuple[list[str], list[int], list[NodeKind]]:
    """Names of all nodes, the place of each one's kind, and the kinds. Constants and what the file itself defines are
    no nodes here."""
    names, of, kinds, places = list[str](), list[int](), list[NodeKind](), dict[str, int]()

    def add(graph: Graph, scope: Scope, nested: bool) -> None:
        for node in graph.nodes:
            if node.constant is None and operator_of(node) not in functions:
                kind = _kind(node, scope, nested)
                text = kind.model_dump_json()
                if text not in places:
                    places[text] = len(kinds)
                    kinds.append(kind)
                names.append(node.name)
                of.append(places[text])
            for inner in node.graphs:
                add(inner, Scope.of(inner, scope), True)

    add(graph, scope, False)
    return names, of, kinds


def _kind(node: Node, scope: Scope, nested: bool) -> NodeKind:
    read = dict.fromkeys(reader for name in node.outputs for reader in scope.readers.get(name, ()))
    return NodeKind(
        operator=operator_of(node),
        attributes=dict(sorted(node.attributes.items())),
        inputs=[_input(name, scope) if name else None for name in node.inputs],
        outputs=[bool(name) for name in node.outputs],
        readers=sorted(read),
        nested=nested,
    )


def _input(name: str, scope: Scope) -> NodeInput:
    if (tensor := scope.constants.get(name)) is not None:
        return NodeInput(
            dtype=tensor.dtype,
            rank=len(tensor.shape),
            open=False,
            constant="stored",
            size=prod(tensor.shape),
            zero=tensor.zero,
        )
    value = scope.values.get(name)
    shape = None if value is None else value.shape
    return NodeInput(
        dtype=None if value is None else value.dtype,
        rank=_rank(name, shape, scope),
        open=None if shape is None else any(isinstance(size, str) for size in shape),
        constant="dequantized" if _is_dequantized(name, scope) else "no",
    )


def _rank(name: str, shape: list[int | str] | None, scope: Scope) -> int | None:
    """Behind a DequantizeLinear it is that of the integers."""
    if shape is not None:
        return len(shape)
    producer = scope.producers.get(name)
    if producer is None or operator_of(producer) != DEQUANTIZE or not producer.inputs:
        return None
    integers = scope.constants.get(producer.inputs[0])
    return None if integers is None else len(integers.shape)


def _is_dequantized(name: str, scope: Scope) -> bool:
    producer = scope.producers.get(name)
    return (
        producer is not None
        and operator_of(producer) == DEQUANTIZE
        and bool(producer.inputs)
        and producer.inputs[0] in scope.constants
    )
