"""Who reads each value of a model, wherever it is read."""

import onnx

from worker.compression.ir.protobuf_walk import messages

Readers = dict[str, list[onnx.NodeProto | None]]


def readers_of(graph: onnx.GraphProto) -> Readers:
    """The nodes that read each value; None for a reader inside a subgraph, and for one outside the graph."""
    readers: Readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
        for inner in messages(node, onnx.NodeProto):
            for name in inner.input:
                readers.setdefault(name, []).append(None)
    for value in graph.output:
        readers.setdefault(value.name, []).append(None)
    return readers
