"""Choose numbers for the dimensions that a model leaves open, so that every axis can be labelled.

Any number will do that the graph accepts: batch sizes become 1, others the first of `SIZES` for which all shapes
follow.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from worker.compression.graph.channels.labels.node_view import UNKNOWN, Shape
from worker.compression.graph.nodes.known_shapes import has_static_shape, node_outputs
from worker.compression.graph.shapes.shapes import BATCH_NAME, with_shapes
from worker.compression.onnx_files.model_files import weight_bytes
from worker.compression.runtime.session import open_cpu_session

log = logging.getLogger(__name__)

SIZES: Final = (64, 224, 32, 100, 7)
MAX_RUN_BYTES: Final = 2**30


def concrete_shapes(model: ir.Model) -> Iterator[dict[str, Shape]]:
    """Yield for one stand-in after another the shapes of all values of known rank, `UNKNOWN` for other dimensions.

    Those for which all shapes follow come alone; if there are none, those for which most do come last.
    """
    best: tuple[int, ir.Model] | None = None
    for size in SIZES if _is_open(model) else SIZES[:1]:
        shaped = with_shapes(model, _input_shapes(model, size))
        unknown = sum(not has_static_shape(value) for value in node_outputs(shaped))
        if unknown == 0:
            yield _shapes_of(shaped)
        elif best is None or unknown < best[0]:
            best = unknown, shaped
    if best is not None:
        yield {**_shapes_of(best[1]), **_by_runtime(best[1])}


def _shapes_of(model: ir.Model) -> dict[str, Shape]:
    values = [*model.graph.inputs, *node_outputs(model)]
    return {str(v.name): tuple(_known(dim) for dim in v.shape) for v in values if v.shape is not None}


def _by_runtime(model: ir.Model) -> dict[str, Shape]:
    """Return the shapes that onnx does not infer, of ONNX Runtime's own operators above all: from a run on zeros."""
    unknown = [v for n in model.graph for v in n.outputs if v.name and not has_static_shape(v)]
    if (
        not unknown
        or weight_bytes(model) > MAX_RUN_BYTES
        or not all(has_static_shape(value) for value in model.graph.inputs)
    ):
        return {}
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    inner = [value for value in unknown if not value.is_graph_output()]
    proto.graph.output.extend(onnx.ValueInfoProto(name=value.name) for value in inner)
    names = [str(value.name) for value in unknown]
    try:
        session = open_cpu_session(proto.SerializeToString(), threads=0, optimize=False)
        results = session.run(names, {str(v.name): _zeros(v) for v in model.graph.inputs})
    except Exception:  # its errors have no common ancestor
        log.info("ONNX Runtime does not run the model on zeros; some shapes stay unknown", exc_info=True)
        return {}
    return {name: np.shape(result) for name, result in zip(names, results, strict=True)}


def _zeros(value: ir.Value) -> NDArray[Any]:
    assert value.shape is not None
    assert value.dtype is not None
    return np.zeros(value.shape.numpy(), value.dtype.numpy())


def _is_open(model: ir.Model) -> bool:
    """Whether anything but batches is open."""
    return _input_shapes(model, 1) != _input_shapes(model, 2)


def _input_shapes(model: ir.Model, size: int) -> dict[str, list[int]]:
    return {
        str(value.name): [_number(axis, dim, size) for axis, dim in enumerate(value.shape)]
        for value in model.graph.inputs
        if value.shape is not None
    }


def _number(axis: int, dim: int | ir.SymbolicDim, size: int) -> int:
    if isinstance(dim, int):
        return dim
    return 1 if axis == 0 or (dim.value is not None and BATCH_NAME.match(dim.value)) else size


def _known(dim: int | ir.SymbolicDim) -> int:
    return dim if isinstance(dim, int) else UNKNOWN
