"""Describe a graph's nodes as rules of targets see them, read as from a file: both ways give the same."""

from typing import Final

import onnx_ir as ir

from winnow.contract.target_rules.graph import CheckedGraph
from winnow.contract.target_rules.onnx_file import graph_of_bytes
from worker.compression.ir.values import all_nodes
from worker.compression.onnx_files.without_weights import without_weights

MAX_NODES: Final = 5_000
MAX_CHARACTERS: Final = 500_000
"""Of the names, and of all kinds together: the facts are read at every submission."""


def checked_graph(model: ir.Model) -> CheckedGraph:
    """Of a graph in normal form."""
    with without_weights(model):
        serialised = ir.to_proto(model).SerializeToString()
    return graph_of_bytes(serialised)


def kept_graph(model: ir.Model) -> CheckedGraph | None:
    """The same, None where there is too much to keep."""
    if sum(1 for _ in all_nodes(model)) > MAX_NODES:
        return None
    graph = checked_graph(model)
    characters = sum(map(len, graph.names)), sum(len(kind.model_dump_json()) for kind in graph.kinds)
    return graph if max(characters) <= MAX_CHARACTERS else None
