"""Numbers for the dimensions that a model leaves open, so that labels can be laid along every axis.

Any number will do that the graph accepts: batch sizes become 1, others the first of `SIZES` for which all shapes follow.
"""

from typing import Final

import onnx_ir as ir

from worker.compression.graph.channels.step import UNKNOWN, Shape
from worker.compression.graph.shapes import BATCH, with_shapes

SIZES: Final = (64, 224, 32, 100, 7)


def concrete_shapes(model: ir.Model) -> dict[str, Shape]:
    """The shape of every value whose rank is known; `UNKNOWN` where a dimension is not."""
    best: dict[str, Shape] = {}
    fewest = -1
    for size in SIZES if _is_open(model) else SIZES[:1]:
        found, unknown = _shapes(model, size)
        if fewest < 0 or unknown < fewest:
            best, fewest = found, unknown
        if unknown == 0:
            break
    return best


def _is_open(model: ir.Model) -> bool:
    return any(
        not isinstance(_number(axis, dim, 1), int) or not isinstance(dim, int) and _number(axis, dim, 2) != 1
        for value in model.graph.inputs
        for axis, dim in enumerate(value.shape or ())
    )


def _shapes(model: ir.Model, size: int) -> tuple[dict[str, Shape], int]:
    given = {
        str(value.name): [_number(axis, dim, size) for axis, dim in enumerate(value.shape)]
        for value in model.graph.inputs
        if value.shape is not None
    }
    shaped = with_shapes(model, given)
    values = [*shaped.graph.inputs]
    values += [v for node in ir.traversal.RecursiveGraphIterator(shaped.graph) for v in node.outputs if v.name]
    ranked = {str(v.name): tuple(_known(dim) for dim in v.shape) for v in values if v.shape is not None}
    unknown = sum(v.shape is None or UNKNOWN in ranked[str(v.name)] for v in values)
    return ranked, unknown


def _number(axis: int, dim: int | ir.SymbolicDim, size: int) -> int:
    if isinstance(dim, int):
        return dim
    return 1 if axis == 0 or (dim.value is not None and BATCH.match(dim.value)) else size


def _known(dim: int | ir.SymbolicDim) -> int:
    return dim if isinstance(dim, int) else UNKNOWN
