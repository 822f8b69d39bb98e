"""Sparse tensors made dense. onnx-ir drops `sparse_initializer` without a word, so this comes before it.

A sparse tensor is its non-zero `values` and their `indices`: `[n]` positions in the flattened tensor, or `[n, rank]`
coordinates (onnx/docs/IR.md). Storing sparse again is a serialisation, done at the very end if at all.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


def densify(model: onnx.ModelProto, base_dir: Path) -> int:
    """Replace every sparse initializer and sparse Constant, in subgraphs and functions too. Answers how many.

    Raises `ValueError` for indices outside the shape.
    """
    graphs = list(_graphs(model))
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for function in model.functions for node in _nested(function.node)]
    return sum(_initializers(graph, base_dir) for graph in graphs) + sum(
        _constant(n, base_dir) for n in nodes
    )


def _initializers(graph: onnx.GraphProto, base_dir: Path) -> int:
    count = len(graph.sparse_initializer)
    graph.initializer.extend(_dense(sparse, base_dir) for sparse in graph.sparse_initializer)
    del graph.sparse_initializer[:]
    return count


def _constant(node: onnx.NodeProto, base_dir: Path) -> int:
    count = 0
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.SPARSE_TENSOR and node.op_type == "Constant":
            dense = _dense(attribute.sparse_tensor, base_dir)
            attribute.CopyFrom(onnx.helper.make_attribute("value", dense))
            count += 1
    return count


def _dense(sparse: onnx.SparseTensorProto, base_dir: Path) -> onnx.TensorProto:
    values = numpy_helper.to_array(sparse.values, str(base_dir))
    indices = numpy_helper.to_array(sparse.indices, str(base_dir))
    flat = _flat(indices, list(sparse.dims))
    dense = np.zeros(int(np.prod(sparse.dims)), values.dtype)
    if flat.size and (flat.min() < 0 or flat.max() >= dense.size or flat.size != values.size):
        raise ValueError(f"the sparse tensor {sparse.values.name!r} has indices outside its shape")
    dense[flat] = values
    return numpy_helper.from_array(dense.reshape(tuple(sparse.dims)), sparse.values.name)


def _flat(indices: NDArray[np.int64], dims: list[int]) -> NDArray[np.int64]:
    if indices.ndim == 1:
        return indices
    strides = np.array([np.prod(dims[axis + 1 :], dtype=np.int64) for axis in range(len(dims))], np.int64)
    if indices.size and ((indices < 0).any() or (indices >= np.array(dims)).any()):
        return np.array([-1])
    return np.asarray(indices @ strides)


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The graph, its subgraphs, and those of the functions' nodes."""
    yield model.graph
    nodes = [*_nested(model.graph.node), *(n for f in model.functions for n in _nested(f.node))]
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def _nested(nodes: "Iterator[onnx.NodeProto] | list[onnx.NodeProto]") -> Iterator[onnx.NodeProto]:
    """The nodes, and those inside their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                yield from _nested(graph.node)
