"""Make sparse tensors dense. onnx-ir drops `sparse_initializer` without a word, so this comes before it.

A sparse tensor is its non-zero `values` and their `indices`: `[n]` positions in the flattened tensor, or `[n, rank]`
coordinates (onnx/docs/IR.md). Storing sparse again is a serialisation, done at the very end if at all.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from winnow.contract.errors import Refusal
from worker.compression.ir.protobuf_walk import messages


def densify(model: onnx.ModelProto, base_dir: Path) -> int:
    """Replace every sparse initializer and sparse Constant, in subgraphs and functions too. Returns how many.

    Raises `Refusal` `invalid_model` for indices outside the shape.
    """
    graphs = list(messages(model, onnx.GraphProto))
    nodes = list(messages(model, onnx.NodeProto))
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
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    if not _inside(indices, values.size, dense.shape):
        raise Refusal(
            "invalid_model",
            f"The sparse tensor {sparse.values.name!r} of shape {list(sparse.dims)} has {values.size} values and "
            f"indices {list(indices.shape)} that do not fit it. Export the model again.",
        )
    if indices.ndim == 1:
        dense.reshape(-1)[indices] = values
    else:
        dense[tuple(indices.T)] = values
    return numpy_helper.from_array(dense, sparse.values.name)


def _inside(indices: NDArray[np.int64], count: int, shape: tuple[int, ...]) -> bool:
    bounds = np.array([np.prod(shape, dtype=np.int64)] if indices.ndim == 1 else shape)
    expected = (count,) if indices.ndim == 1 else (count, len(shape))
    return indices.shape == expected and bool(((indices >= 0) & (indices < bounds)).all())
