"""Codebooks of one length in one constant: a model loads in fewer nodes than with a lookup for each.

    apart      Gather(codebook_i [K], table [rows, each])                  → [rows, each], a node for each tensor
    stacked    Split(Gather(codebooks [N, K], table, axis=1))              → [1, rows, each], N times
    readers    Gather(rows, numbers, axis=1) in place of axis 0            → [1, groups, each], reshaped as before

Both compute the same values, bit by bit.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

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


SPLIT_COUNTS_FROM: Final = 18
"""The opset from which Split has to be told into how many parts it splits."""


def stack_codebooks(graph: onnx.GraphProto, opset: int, prefix: str) -> None:
    """Stack the codebooks in which one table is looked up, in place. New names begin with `prefix`."""
    constants = _constants(graph)
    together = [lookups for lookups in _lookups(graph, constants).values() if len(lookups) > 1]
    for number, lookups in enumerate(together):
        books, rows = f"{prefix}w{number}", f"{prefix}v{number}"
        arrays = [numpy_helper.to_array(constants[node.input[0]]) for node in lookups]
        outputs = [node.output[0] for node in lookups]
        counted = {"num_outputs": len(outputs)} if opset >= SPLIT_COUNTS_FROM else {}
        joint = [
            helper.make_node("Gather", [books, lookups[0].input[1]], [rows], axis=1),
            helper.make_node("Split", [rows], outputs, axis=0, **counted),
        ]
        _replace(graph, lookups, joint)
        _look_along(graph, outputs, 1)
        for node in lookups:
            graph.initializer.remove(constants[node.input[0]])
        graph.initializer.append(numpy_helper.from_array(np.stack(arrays), books))


def unstack_codebooks(graph: onnx.GraphProto) -> None:
    """Give each codebook that was stacked a lookup of its own again, in place. What only looks alike stays."""
    constants = _constants(graph)
    sources = {name: node for node in graph.node for name in node.output}
    stacked = []
    for split in graph.node:
        lookup = sources.get(split.input[0]) if split.op_type == "Split" and len(split.input) == 1 else None
        books = None if lookup is None else _stacked_books(split, lookup, constants)
        if lookup is not None and books is not None:
            stacked.append((split, lookup, books))
    readers = readers_of(graph) if stacked else {}  # a walk through all subgraphs, at every load of a model
    for split, lookup, books in stacked:
        if not _are_only_looked_up(split.output, readers, constants, 1):
            continue
        apart = []
        for output, book in zip(split.output, books, strict=True):
            name = f"{output}_codebook"
            while name in constants or name in sources:
                name += "_"
            constants[name] = numpy_helper.from_array(book, name)
            graph.initializer.append(constants[name])
            apart.append(helper.make_node("Gather", [name, lookup.input[1]], [output]))
        _replace(graph, [split], apart)
        _look_along(graph, split.output, 0)


def _lookups(
    graph: onnx.GraphProto, constants: dict[str, TensorProto]
) -> dict[tuple[str, int, int], list[onnx.NodeProto]]:
    """The nodes that look a table up in a codebook, by the table and the codebook's length and dtype."""
    readers = readers_of(graph)
    lookups = defaultdict(list)
    for node in graph.node:
        book = constants.get(node.input[0]) if node.op_type == "Gather" and not axis_of(node) else None
        if (
            book is not None
            and book.data_location != TensorProto.EXTERNAL
            and len(book.dims) == 1
            and len(readers[book.name]) == 1
            and node.input[1] not in constants
            and _are_only_looked_up(node.output, readers, constants, 0)
        ):
            lookups[node.input[1], book.dims[0], book.data_type].append(node)
    return lookups


def _stacked_books(
    split: onnx.NodeProto, lookup: onnx.NodeProto, constants: dict[str, TensorProto]
) -> npt.NDArray[Any] | None:
    """[N, K], where a Split takes a lookup in N codebooks apart."""
    if lookup.op_type != "Gather" or axis_of(lookup) != 1 or axis_of(split):
        return None
    books = constants.get(lookup.input[0])
    if books is None or len(books.dims) != 2 or books.dims[0] != len(split.output):
        return None
    uneven = any(entry.name == "split" for entry in split.attribute)
    return None if uneven else numpy_helper.to_array(books)


def _are_only_looked_up(
    tables: Iterable[str], readers: Readers, constants: dict[str, TensorProto], axis: int
) -> bool:
    """Whether numbers are looked up in the tables along this axis, and all that is found goes to a known shape."""
    for table in tables:
        for node in readers.get(table, []):
            if node is None or node.op_type != "Gather" or axis_of(node) != axis or node.input[0] != table:
                return False
            if node.input[1] == table or not _are_only_reshaped(node.output[0], readers, constants):
                return False
    return True


def _are_only_reshaped(name: str, readers: Readers, constants: dict[str, TensorProto]) -> bool:
    """A zero in a shape would stand for a dimension of what is reshaped."""
    for node in readers.get(name, []):
        shape = constants.get(node.input[1]) if node is not None and node.op_type == "Reshape" else None
        if shape is None or not numpy_helper.to_array(shape).all():
            return False
    return True


def _constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Initializers that no one can override."""
    inputs = {value.name for value in graph.input}
    return {tensor.name: tensor for tensor in graph.initializer if tensor.name not in inputs}


def _replace(graph: onnx.GraphProto, gone: list[onnx.NodeProto], joint: list[onnx.NodeProto]) -> None:
    """Put nodes at the place of the first of those that go."""
    outputs = {name for node in gone for name in node.output}
    nodes = [node for node in graph.node if not outputs.intersection(node.output)]
    place = next(place for place, node in enumerate(graph.node) if outputs.intersection(node.output))
    nodes[place:place] = joint
    del graph.node[:]
    graph.node.extend(nodes)


def _look_along(graph: onnx.GraphProto, tables: Iterable[str], axis: int) -> None:
    names = set(tables)
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in names:
            del node.attribute[:]
            if axis:
                node.attribute.append(helper.make_attribute("axis", axis))


def axis_of(node: onnx.NodeProto) -> int:
    return next((int(entry.i) for entry in node.attribute if entry.name == "axis"), 0)
