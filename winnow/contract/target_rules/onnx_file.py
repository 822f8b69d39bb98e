"""Reads the graph of an ONNX file as rules see it, without onnx, and without its weights in memory.

Numbers of fields and types are those of onnx.proto. Constants are initializers and what Constant nodes hold; nodes of
branches and loops are read like others.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path

from winnow.contract.target_rules.graph import STANDARD, CheckedGraph, OpenInput
from winnow.contract.target_rules.node_kinds import Scope, kinds_of, operator_name
from winnow.contract.target_rules.onnx_messages import Graph, graph_of, text_of
from winnow.contract.wire import Bytes, fields, varint

OPSETS, GRAPH, FUNCTIONS = 8, 7, 25
"""Fields of ModelProto."""
DOMAIN, VERSION = 1, 2
"""Fields of OperatorSetIdProto."""
FUNCTION_NAME, FUNCTION_DOMAIN = 1, 10
"""Fields of FunctionProto."""


def graph_of_file(path: Path) -> CheckedGraph:
    """Raises `ValueError` where the file is no ONNX, with the reason as a clause."""
    if not path.stat().st_size:
        raise ValueError("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return graph_of_bytes(content)


def graph_of_bytes(content: Bytes) -> CheckedGraph:
    """The same, of a serialised model; raises the same."""
    graphs: list[Graph] = []
    opsets: dict[str, int] = {}
    functions: list[str] = []
    for number, _, (begin, end) in fields(content, 0, len(content)):
        if number == GRAPH:
            graphs.append(graph_of(content, begin, end))
        elif number == OPSETS:
            domain, version = _opset(content, begin, end)
            opsets[domain] = version
        elif number == FUNCTIONS:
            functions.append(_function(content, begin, end))
    if len(graphs) != 1:
        raise ValueError("it has no graph" if not graphs else "it has several graphs")
    (graph,) = graphs
    names, of, kinds = kinds_of(graph, Scope.of(graph), set(functions))
    return CheckedGraph(
        opset=max((opsets[domain] for domain in STANDARD & opsets.keys()), default=1),
        open_inputs=_open_inputs(graph),
        functions=functions,
        kinds=kinds,
        names=names,
        of=of,
    )


def _open_inputs(graph: Graph) -> list[OpenInput]:
    """Initializers that are listed as inputs have their own shape."""
    stored = {tensor.name for tensor in graph.initializers}
    return [
        OpenInput(name=value.name, dimensions=_varying(value.shape))
        for value in graph.inputs
        if value.name not in stored and _varying(value.shape)
    ]


def _varying(shape: Sequence[int | str] | None) -> list[str]:
    return ["?"] if shape is None else [size or "?" for size in shape if isinstance(size, str)]


def _opset(content: Bytes, begin: int, end: int) -> tuple[str, int]:
    domain, version = "", 1
    for number, _, span in fields(content, begin, end):
        if number == DOMAIN:
            domain = text_of(content, span)
        elif number == VERSION:
            version = varint(content, span[0])[0]
    return domain, version


def _function(content: Bytes, begin: int, end: int) -> str:
    """As a node's operator would be called."""
    name = domain = ""
    for number, _, span in fields(content, begin, end):
        if number == FUNCTION_NAME:
            name = text_of(content, span)
        elif number == FUNCTION_DOMAIN:
            domain = text_of(content, span)
    return operator_name(domain, name)
