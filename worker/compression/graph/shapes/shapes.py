"""Infer the shapes of all values for given input shapes, on a copy of the model."""

import re
from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.known_shapes import has_static_shape, node_outputs
from worker.compression.graph.shapes.onnx_inference import infer_by_onnx
from worker.compression.graph.shapes.shape_folding import infer_by_folding

BATCH_NAME: Final = re.compile(r"(n|b|bs|batch\w*)$", re.IGNORECASE)
"""What exporters call the batch dimension where it is not the first (recurrent networks)."""


def with_shapes(model: ir.Model, shapes: dict[str, list[int]] | None = None) -> ir.Model:
    """Make a copy (weights shared) with inputs of these shapes, and every shape that follows from them.

    Where nothing is given the batch size is 1: a symbolic first dimension becomes 1, one that is called a batch
    too, and so does that symbol wherever else it stands. Other symbols stay unknown.

    Raises `ValueError` when a shape does not fit its input.
    """
    input_shapes = shapes or {}
    copy = model.clone()
    known = _symbols(copy.graph, input_shapes)
    for value in copy.graph.inputs:
        if value.name in input_shapes:
            value.shape = ir.Shape(input_shapes[value.name])
        elif value.shape is not None:
            value.shape = ir.Shape([_number(axis, dim, known) for axis, dim in enumerate(value.shape)])
    _put_numbers(copy, known)
    if not all(map(has_static_shape, node_outputs(copy))):
        _forget(copy)
        infer(copy)
        if not all(map(has_static_shape, node_outputs(copy))):
            infer_by_folding(copy)
    return copy


def _put_numbers(model: ir.Model, known: dict[str, int]) -> None:
    """Put numbers for symbols. What follows from the inputs with symbols follows from them with numbers: often nothing
    is left to infer."""
    for value in node_outputs(model):
        if value.shape is not None and not value.shape.is_static():
            dims = (dim if isinstance(dim, int) else known.get(dim.value or "", dim) for dim in value.shape)
            value.shape = ir.Shape(list(dims))


def infer(model: ir.Model) -> None:
    """Infer shapes in place: by onnx, and what it leaves without a shape by folding constants on a copy."""
    infer_by_onnx(model)
    infer_missing(model)


def infer_missing(model: ir.Model) -> None:
    """Infer the shapes that onnx left out, as far as folding tells them."""
    if any(value.shape is None for value in node_outputs(model)):
        infer_by_onnx(model, data_prop=False)
        infer_by_folding(model)


def _forget(model: ir.Model) -> None:
    """Drop shapes that were inferred with symbols in them; onnx would keep them beside what it learns now."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            if value.shape is not None and not value.shape.is_static():
                value.shape = None


def _symbols(graph: ir.Graph, input_shapes: dict[str, list[int]]) -> dict[str, int]:
    """Return the number of each symbolic dimension of the inputs: as given, or 1 where it is a batch."""
    known: dict[str, int] = {}
    for value in graph.inputs:
        if value.shape is None or value.name not in input_shapes:
            continue
        if len(input_shapes[value.name]) != len(value.shape):
            raise ValueError(
                f"{value.name} has {len(value.shape)} dimensions, not {len(input_shapes[value.name])}"
            )
        for dim, number in zip(value.shape, input_shapes[value.name], strict=True):
            if isinstance(dim, int) and dim != number:
                raise ValueError(
                    f"{value.name} is {value.shape}, which {input_shapes[value.name]} does not fit"
                )
            if isinstance(dim, ir.SymbolicDim) and dim.value is not None:
                known[dim.value] = number
    for value in graph.inputs:
        for axis, dim in enumerate(value.shape or ()):
            if (
                isinstance(dim, ir.SymbolicDim)
                and dim.value is not None
                and (axis == 0 or BATCH_NAME.match(dim.value))
            ):
                known.setdefault(dim.value, 1)
    return known


def _number(axis: int, dim: int | ir.SymbolicDim, known: dict[str, int]) -> int | ir.SymbolicDim:
    if isinstance(dim, int):
        return dim
    if dim.value is None:
        return 1 if axis == 0 else dim
    return known.get(dim.value, dim)
