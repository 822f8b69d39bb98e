"""Which axis of an input or output counts the samples. It is the first, unless the graph says otherwise.

Recurrent layers of layout 0 read [steps, batch, features]; whichever axis of an input becomes their batch is the batch,
through any Transpose between. Without them an axis is the batch that is called one (`batch`, `N`) where the first is
not. An output whose first size is a number greater than 1, whatever the batch, has none ([anchors, 4]).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import onnx_ir as ir

from worker.compression.graph.one_file import without_raw_data
from worker.compression.graph.onnx_inference import infer_by_onnx
from worker.compression.graph.shapes import BATCH

RECURRENT: Final = frozenset({"RNN", "GRU", "LSTM", "DynamicQuantizeLSTM"})
X, LENGTHS, STATE, CELL = 0, 4, 5, 6
"""Inputs of a recurrent layer that have a batch."""

Axes = dict[str, int | None]


def batch_axes(model: ir.Model) -> Axes:
    """Of each input and output by name; None where none counts the samples. The model is not changed."""
    copy = model.clone()
    initializers = copy.graph.initializers
    inputs = [v for v in copy.graph.inputs if v.name not in initializers and v.shape is not None]
    declared = {str(v.name): v.shape.copy() for v in inputs if v.shape is not None}
    for number, value in enumerate(inputs):
        value.shape = ir.Shape([_symbol(number, axis, dim) for axis, dim in enumerate(value.shape or ())])
    recurrent = [n for n in ir.traversal.RecursiveGraphIterator(copy.graph) if n.op_type in RECURRENT]
    known = {symbol for value in inputs for symbol in _symbols(value.shape)}
    batch = _named(inputs)
    if recurrent:
        _infer_anew(copy)
        batch = {symbol for node in recurrent for symbol in _batch_symbols(node)} & known or batch
    elif not batch and any(isinstance(shape[0], int) for shape in declared.values() if len(shape)):
        return {}  # all as usual, or fixed
    found: Axes = {str(v.name): _axis(v.shape, batch, 0) for v in inputs}
    is_open = any(_is_open(declared[name], axis) for name, axis in found.items() if name in declared)
    for value in copy.graph.outputs:
        found[str(value.name)] = _axis(value.shape, batch, _without_name(value.shape, is_open))
    return found


def batch_axes_of(path: Path) -> Axes:
    """The same of a file, without reading its weights."""
    return batch_axes(ir.from_proto(without_raw_data(path)))


def _symbol(number: int, axis: int, dim: int | ir.SymbolicDim) -> str:
    """The name that the dimension has, else one of its own, for numbers too."""
    if isinstance(dim, ir.SymbolicDim) and dim.value:
        return dim.value
    return f"winnow_{number}_{axis}"


def _named(inputs: Iterable[ir.Value]) -> set[str]:
    """What the batch is called: by the inputs' first axes, else by any other."""
    shapes = [value.shape for value in inputs if value.shape is not None and len(value.shape)]
    first = {symbol for shape in shapes for symbol in _symbols(shape[:1])}
    named = {symbol for shape in shapes for symbol in _symbols(shape) if BATCH.match(symbol)}
    return first & named or named


def _symbols(shape: Iterable[int | ir.SymbolicDim] | None) -> Iterator[str]:
    yield from (dim.value for dim in shape or () if isinstance(dim, ir.SymbolicDim) and dim.value)


def _infer_anew(model: ir.Model) -> None:
    """Let shapes follow from the inputs alone; what onnx cannot tell of an output is as declared."""
    declared = [(value, value.shape) for value in model.graph.outputs]
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            value.shape = None
    infer_by_onnx(model, data_prop=False)
    for value, shape in declared:
        value.shape = shape if value.shape is None else value.shape


def _batch_symbols(node: ir.Node) -> Iterator[str]:
    """Of the batch that a recurrent layer reads."""
    inside = 0 if node.attributes.get_int("layout", 0) else 1
    for index, axis in ((X, inside), (LENGTHS, 0), (STATE, inside), (CELL, inside)):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None and value.shape is not None and len(value.shape) > axis:
            yield from _symbols([value.shape[axis]])


def _axis(shape: ir.Shape | None, batch: set[str], otherwise: int | None) -> int | None:
    if shape is not None and not len(shape):
        return None
    named = (i for i, d in enumerate(shape or ()) if isinstance(d, ir.SymbolicDim) and d.value in batch)
    return next(named, otherwise)


def _is_open(shape: ir.Shape, axis: int | None) -> bool:
    return axis is not None and not isinstance(shape[axis], int)


def _without_name(shape: ir.Shape | None, is_open: bool) -> int | None:
    """The first axis, unless it is a number of its own while the batch is open."""
    fixed = shape is not None and len(shape) > 0 and isinstance(shape[0], int) and shape[0] > 1
    return None if is_open and fixed else 0
