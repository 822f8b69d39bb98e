"""Infer shapes from the model's inputs alone, with the batch and other symbols.

What a file declares inside may be stale: whoever frees the batch of an exported model edits its inputs and leaves
`[1, …]` everywhere else. So all of it is forgotten and inferred again; what cannot be inferred is as declared.
"""

import math
import re
from collections.abc import Iterator
from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.known_shapes import symbols_of
from worker.compression.graph.shapes.onnx_inference import infer_by_onnx
from worker.compression.graph.shapes.shapes import infer_missing

Traced = dict[ir.Value, ir.Shape]
"""The shapes that follow from the inputs alone."""

GENERATED: Final = re.compile(r"unk__\d+$")
"""What onnx calls a dimension that it cannot tell."""

MAX_ROUNDS: Final = 32
MAX_NODE_VISITS: Final = 200_000
"""Of nodes, by the rounds of one inference: about ten seconds."""


def trace(model: ir.Model) -> Traced:
    """Infer all shapes in place. Returns those that nothing but the inputs was needed for."""
    declared = {value: value.shape for value in _inner(model)}
    symbols = {dim for value in model.graph.inputs for dim in symbols_of(value.shape)}
    for value in declared:
        value.shape = None
    infer_by_onnx(model)
    for _ in range(affordable_rounds(model, MAX_ROUNDS)):
        if not _through_reshapes(model):
            break
        infer_by_onnx(model)
    traced = {v: v.shape for v in [*model.graph.inputs, *declared] if v.shape is not None}
    for value, shape in declared.items():
        value.shape = _merged(value.shape, shape, symbols)
    infer_missing(model)
    return traced


def affordable_rounds(model: ir.Model, limit: int) -> int:
    """Return how often a graph of this size may be gone through; what is not known then stays unknown."""
    return max(2, min(limit, MAX_NODE_VISITS // (1 + model.graph.num_nodes())))


def _inner(model: ir.Model) -> Iterator[ir.Value]:
    """Yield the outputs of nodes, and the inputs of subgraphs."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        yield from (value for value in node.outputs if value.name)
    for graph in model.graphs():
        if graph is not model.graph:
            yield from graph.inputs


def _merged(inferred: ir.Shape | None, declared: ir.Shape | None, symbols: set[str]) -> ir.Shape | None:
    """Return what was inferred; a dimension that could not be told is as declared."""
    if inferred is None or declared is None or len(inferred) != len(declared):
        return declared if inferred is None else inferred
    return ir.Shape([_dim(a, b, symbols) for a, b in zip(inferred, declared, strict=True)])


def _dim(
    inferred: int | ir.SymbolicDim, declared: int | ir.SymbolicDim, symbols: set[str]
) -> int | ir.SymbolicDim:
    if isinstance(inferred, int) or inferred.value in symbols:
        return inferred
    if isinstance(declared, int):
        return declared
    numbered_anew = declared.value is None or GENERATED.match(declared.value)
    return inferred if numbered_anew else declared


def _through_reshapes(model: ir.Model) -> bool:
    """Work out what -1 stands for in Reshapes where onnx does not: [N, 512, 1, 1] to [-1, 512] is [N, 512]."""
    changed = False
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Reshape" and node.domain == "" and (shape := _reshaped(node)) is not None:
            known = node.outputs[0].shape
            if known is None or known.dims != shape.dims:
                node.outputs[0].shape = shape
                changed = True
    return changed


def _reshaped(node: ir.Node) -> ir.Shape | None:
    source, target = node.inputs[0], node.inputs[1]
    if source is None or source.shape is None or target is None or target.const_value is None:
        return None
    target_dims = [int(number) for number in target.const_value.numpy().reshape(-1)]
    dims = list(source.shape)
    open_dims = [dim for dim in dims if not isinstance(dim, int)]
    copied = target_dims if node.attributes.get_int("allowzero", 0) else _zeros_copied(target_dims, dims)
    if copied is None or copied.count(-1) != 1 or len(open_dims) != 1 or open_dims[0].value is None:
        return None
    have = math.prod(dim for dim in dims if isinstance(dim, int))
    rest = math.prod(dim for dim in copied if isinstance(dim, int) and dim != -1)
    if any(not isinstance(dim, int) for dim in copied):
        missing: int | ir.SymbolicDim = have // rest if rest and have % rest == 0 else -1
    else:
        missing = open_dims[0] if have == rest else -1
    return None if missing == -1 else ir.Shape([missing if dim == -1 else dim for dim in copied])


def _zeros_copied(
    target_dims: list[int], dims: list[int | ir.SymbolicDim]
) -> list[int | ir.SymbolicDim] | None:
    """Replace each 0 by the input's dimension of the same index."""
    if any(number == 0 and index >= len(dims) for index, number in enumerate(target_dims)):
        return None
    return [dims[index] if number == 0 else number for index, number in enumerate(target_dims)]
