"""Put a graph's name before every name in it, so that several graphs can be one; and take it away again.

Values, nodes and symbolic sizes get it; a size that is called a batch does not: all graphs are run on as many samples.
"""

import re
from collections.abc import Callable
from typing import Final

import onnx

from worker.compression.graph.shapes.shapes import BATCH_NAME
from worker.compression.ir.protobuf_walk import messages

WORD: Final = re.compile(r"\b[^\W\d]\w*")


def with_prefix(model: onnx.ModelProto, prefix: str) -> None:
    """Rename everything in place. A node without a name gets one: patterns name nodes by their graph, too."""
    rename_values(model.graph, lambda name: prefix + name)
    for number, node in enumerate(messages(model.graph, onnx.NodeProto)):
        node.name = prefix + (node.name or f"{node.op_type}_{number}")
    sizes = size_prefix(prefix)
    for dim in messages(model.graph, onnx.TensorShapeProto.Dimension):
        if dim.dim_param:
            dim.dim_param = WORD.sub(lambda word: _size(word.group(), sizes), dim.dim_param)


def without_prefix(dim_param: str, prefix: str) -> str:
    """The symbolic size as the file had it."""
    return re.sub(rf"\b{re.escape(size_prefix(prefix))}", "", dim_param)


def size_prefix(prefix: str) -> str:
    """The same as part of a word: symbolic sizes may be sums of words."""
    word = re.sub(r"\W", lambda other: f"_{ord(other.group()):x}_", prefix.removesuffix(":"))
    return f"_{word}__"


def _size(word: str, prefix: str) -> str:
    return word if BATCH_NAME.match(word) else prefix + word


def rename_values(graph: onnx.GraphProto, renamed: Callable[[str], str]) -> None:
    """Rename all values of a graph and of those inside it; what is called nothing stays so."""
    for inner in (graph, *messages(graph, onnx.GraphProto)):
        for part in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            part.name = renamed(part.name)
        for sparse in inner.sparse_initializer:
            sparse.values.name = renamed(sparse.values.name)
        for annotation in inner.quantization_annotation:
            annotation.tensor_name = renamed(annotation.tensor_name)
        for node in inner.node:
            node.input[:] = [name and renamed(name) for name in node.input]
            node.output[:] = [name and renamed(name) for name in node.output]
