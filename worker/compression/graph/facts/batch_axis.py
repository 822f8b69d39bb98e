"""Find which axis of an input or output counts the samples. It is the first, unless the graph says otherwise.

Recurrent layers of layout 0 read [steps, batch, features]; whichever axis of an input becomes their batch is the batch,
through any Transpose between. Without them an axis is the batch that is called one (`batch`, `N`) where the first is
not. An output whose first size is a number greater than 1, whatever the batch, has none ([anchors, 4]).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir

from worker.compression.graph.nodes.known_shapes import symbols_of
from worker.compression.graph.shapes.onnx_inference import infer_by_onnx
from worker.compression.graph.shapes.shapes import BATCH_NAME
from worker.compression.ir.protobuf_walk import messages
from worker.compression.ir.values import input_at
from worker.compression.onnx_files.single_file import without_raw_data

RECURRENT: Final = frozenset({"RNN", "GRU", "LSTM", "DynamicQuantizeLSTM"})
X, LENGTHS, STATE, CELL = 0, 4, 5, 6
"""Inputs of a recurrent layer that have a batch."""

Axes = dict[str, int | None]


def batch_axes(model: ir.Model) -> Axes:
    """Find the batch axis of each input and output by name; None where there is none. The model is not changed."""
    inputs = _inputs(model)
    declared = {str(v.name): v.shape for v in inputs if v.shape is not None}
    batch = _batch_names(inputs)
    if any(node.op_type in RECURRENT for node in ir.traversal.RecursiveGraphIterator(model.graph)):
        model = model.clone()
        inputs = _inputs(model)
        batch = _read_by_layers(model, inputs) or batch
    axes: Axes = {str(v.name): _axis(v.shape, batch, 0) for v in inputs}
    is_open = any(_is_open(declared[name], axis) for name, axis in axes.items())
    for value in model.graph.outputs:
        axes[str(value.name)] = _axis(value.shape, batch, _without_name(value.shape, is_open))
    return axes


def batch_axes_of(path: Path) -> Axes:
    """Find the batch axes of a file without reading its weights, and its nodes only where some are recurrent."""
    proto = without_raw_data(path)
    if not any(node.op_type in RECURRENT for node in messages(proto, onnx.NodeProto)):
        del proto.graph.node[:]
        made = {x.name for x in (*proto.graph.input, *proto.graph.initializer)}
        outputs = [x.name for x in proto.graph.output if x.name not in made]
        proto.graph.node.add(op_type="Anything", output=outputs)
    return batch_axes(ir.from_proto(proto))


def _inputs(model: ir.Model) -> list[ir.Value]:
    """The inputs that data is given for, as far as their rank is known."""
    initializers = model.graph.initializers
    return [v for v in model.graph.inputs if v.name not in initializers and v.shape is not None]


def _read_by_layers(model: ir.Model, inputs: list[ir.Value]) -> set[str]:
    """Find the dimensions that recurrent layers take for their batch. All shapes of the model become symbols."""
    for number, value in enumerate(inputs):
        value.shape = ir.Shape([_symbol(number, axis, dim) for axis, dim in enumerate(value.shape or ())])
    _infer_anew(model)
    known = {symbol for value in inputs for symbol in symbols_of(value.shape)}
    nodes = (n for n in ir.traversal.RecursiveGraphIterator(model.graph) if n.op_type in RECURRENT)
    return {symbol for node in nodes for symbol in _batch_symbols(node)} & known


def _symbol(number: int, axis: int, dim: int | ir.SymbolicDim) -> str:
    """Return the name that the dimension has, else one of its own, for numbers too."""
    if isinstance(dim, ir.SymbolicDim) and dim.value:
        return dim.value
    return f"winnow_{number}_{axis}"


def _batch_names(inputs: Iterable[ir.Value]) -> set[str]:
    """Find what the batch is called: by the inputs' first axes, else by any other."""
    shapes = [value.shape for value in inputs if value.shape is not None and len(value.shape)]
    first = {symbol for shape in shapes for symbol in symbols_of(shape[:1])}
    named = {symbol for shape in shapes for symbol in symbols_of(shape) if BATCH_NAME.match(symbol)}
    return first & named or named


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
    """Yield the symbols of the batch that a recurrent layer reads."""
    inside = 0 if node.attributes.get_int("layout", 0) else 1
    for index, axis in ((X, inside), (LENGTHS, 0), (STATE, inside), (CELL, inside)):
        value = input_at(node, index)
        if value is not None and value.shape is not None and len(value.shape) > axis:
            yield from symbols_of([value.shape[axis]])


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
