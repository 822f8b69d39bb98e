"""Make dense what `smallest_form` stored: the nodes are compared with those that packing would write."""

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from worker.compression.ir.arrays import Array
from worker.compression.weight_storage import bitstream
from worker.compression.weight_storage.bitmask import bitmask
from worker.compression.weight_storage.bitstream import Moved, Stored
from worker.compression.weight_storage.smallest_form import LARGEST, is_each_by_itself
from worker.compression.weight_storage.stacked_codebooks import unstack_codebooks

MOST_MOVED: Final = 3
"""Nodes that do something to each code by itself; ours are two."""
LOOKUPS: Final = ("Gather", "GatherElements")
ENDS: Final = ("", *(f"y{number}" for number in range(MOST_MOVED)))


def unpack(model: onnx.ModelProto) -> int:
    """Make every tensor dense again that `pack` stored as a bitmask or in bits, in place. Answers how many.

    The nodes before it stay, without a reader. What only looks alike stays as it is.
    """
    unstack_codebooks(model.graph)
    packed = _Graph(model.graph)
    nodes, count = [], 0
    for node in model.graph.node:  # what a bitmask keeps is in bits before it
        dense = packed.dense(node) if node.op_type == "Reshape" and len(node.input) == 2 else None
        if dense is None:
            nodes.append(node)
        else:
            nodes += packed.replace(node, *dense)
            count += 1
    if count:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return count


class _Graph:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._sources = {name: node for node in graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def dense(self, last: onnx.NodeProto) -> tuple[Array, Moved] | None:
        """The array, and what is done to each of its values before it is what the Reshape answers."""
        shape, lookup = self._array(last.input[1]), self._behind_cut(last)
        if shape is None or lookup is None or (shape < 0).any() or int(np.prod(shape)) > LARGEST:
            return None
        index = self._index(lookup)
        if index is None:
            return None
        table, moved = self._moved(lookup.input[0])
        read = self._masked if _is_mask(index) else self._coded
        array = read(table, index, int(np.prod(shape)))
        if array is None or not array.size:
            return None
        array = array.reshape(shape)
        write = bitmask if _is_mask(index) else bitstream.stored_codes
        written = write("y", array, "y", "z", moved)
        return (array, moved) if self._is_alike(last.output[0], "y", _Written(written)) else None

    def replace(self, last: onnx.NodeProto, array: Array, moved: Moved) -> list[onnx.NodeProto]:
        """Nodes in place of the last one."""
        value, again = last.output[0], Stored()
        name = self._fresh(f"{value}_codes") if moved.nodes else value
        self._constants[name] = numpy_helper.from_array(array, name)
        self._graph.initializer.append(self._constants[name])
        if moved.nodes:
            moved.write(again, name, self._fresh(f"{value}_"))
            again.nodes[-1].output[0] = value
        self._sources.update((node.output[0], node) for node in again.nodes)
        return again.nodes

    def _behind_cut(self, last: onnx.NodeProto) -> onnx.NodeProto | None:
        """The lookup before a Reshape, or before the Reshape and the Slice that cut off what fills the last byte."""
        node = self._sources.get(last.input[0])
        for operator in ("Slice", "Reshape"):
            if node is not None and node.op_type == operator and node.input:
                node = self._sources.get(node.input[0])
        return node if node is not None and node.op_type in LOOKUPS and len(node.input) == 2 else None

    def _index(self, lookup: onnx.NodeProto) -> onnx.NodeProto | None:
        """What makes the places or numbers that are looked up."""
        index = self._sources.get(lookup.input[1])
        before = (
            self._sources.get(index.input[0]) if index is not None and index.op_type == "Reshape" else None
        )
        return before if before is not None and _is_mask(before) else index

    def _moved(self, name: str) -> tuple[str, Moved]:
        """What the nodes read that do something to each value by itself, and these nodes, at most `MOST_MOVED`."""
        nodes: list[onnx.NodeProto] = []
        limit = None
        while (node := self._sources.get(name)) is not None and len(nodes) < MOST_MOVED:
            read = bitstream.read_index(node)
            if len(node.input) <= read or not is_each_by_itself(node, node.input[read], self._constants):
                break
            if node.op_type == "Gather":
                limit = int(self._constants[node.input[0]].dims[0])
            nodes.insert(0, node)
            name = node.input[read]
        return name, Moved(tuple(nodes), limit)

    def _masked(self, table: str, place: onnx.NodeProto, size: int) -> Array | None:
        ones = self._sources.get(place.input[1])
        mask, values = (
            self._cast_constant(ones.input[1] if ones and len(ones.input) == 2 else ""),
            self._array(table),
        )
        if mask is None or values is None or values.ndim != 1 or mask.ndim != 1 or mask.dtype != np.uint8:
            return None
        bits = np.unpackbits(mask)
        if size > bits.size or int(bits.sum()) + 1 != values.size or bits[size:].any():
            return None
        dense = np.zeros(size, values.dtype)
        dense[bits[:size].astype(bool)] = values[1:]
        return dense

    def _coded(self, table: str, index: onnx.NodeProto, size: int) -> Array | None:
        steps = None
        for _ in range(3):  # Mod, perhaps another, Div
            node = self._sources.get(table)
            if node is None or node.op_type not in ("Mod", "Div") or len(node.input) != 2:
                return None
            table, steps = node.input[0], self._array(node.input[1])
            if node.op_type == "Div":
                break
        if steps is None or not 1 <= steps.size <= 8 or steps.ndim != 1:
            return None
        width = 8 if steps.size == 1 else int(steps[-2]).bit_length() - 1
        planes = self._planes(index)
        return bitstream.decoded(planes, width, size) if planes and width in bitstream.PLANES else None

    def _planes(self, index: onnx.NodeProto | None) -> list[Array] | None:
        """The constants that a group's number is made of, the most significant first."""
        planes: list[Array] = []
        while index is not None and index.op_type == "Add" and len(index.input) == 2 and len(planes) < 2:
            raised, flat = (self._sources.get(name) for name in index.input)
            rows = self._sources.get(flat.input[0]) if flat is not None and flat.input else None
            plane = self._cast_constant(rows.input[1]) if rows is not None and len(rows.input) == 2 else None
            if plane is None or raised is None or not raised.input:
                return None
            planes.insert(0, plane)
            index = self._sources.get(raised.input[0])
        first = self._cast_constant(index.output[0]) if index is not None else None
        return None if first is None else [first, *planes]

    def _cast_constant(self, name: str) -> Array | None:
        cast = self._sources.get(name)
        return self._array(cast.input[0]) if cast is not None and cast.op_type == "Cast" else None

    def _array(self, name: str) -> Array | None:
        return numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def _is_alike(self, name: str, ours: str, written: "_Written") -> bool:
        """Whether a value is made as one of ours is: of equal constants, by the same nodes."""
        node, expected = self._sources.get(name), written.sources.get(ours)
        if expected is None:
            tensor = written.constants.get(ours, self._constants.get(ours))
            held = self._constants.get(name)
            return held is not None and tensor is not None and _is_equal(held, tensor)
        if node is None or _outside(node) != _outside(expected) or len(node.input) != len(expected.input):
            return False
        pairs = zip(node.input, expected.input, strict=True)
        return all(self._is_alike(name, other, written) for name, other in pairs)

    def _fresh(self, wish: str) -> str:
        """So that what `Moved.write` makes of the name is free, too."""
        while any(wish + end in known for end in ENDS for known in (self._sources, self._constants)):
            wish += "_"
        return wish


class _Written:
    def __init__(self, stored: Stored) -> None:
        nodes = (*stored.nodes, *stored.shared_nodes.values())
        self.sources = {node.output[0]: node for node in nodes}
        held = (*stored.constants, *stored.shared_constants.values())
        self.constants = {each.name: each.proto() for each in held}


def _is_mask(index: onnx.NodeProto) -> bool:
    return index.op_type == "Mul" and len(index.input) == 2


def _outside(node: onnx.NodeProto) -> tuple[str, list[bytes]]:
    return node.op_type, sorted(entry.SerializeToString() for entry in node.attribute)


def _is_equal(tensor: TensorProto, other: TensorProto) -> bool:
    """By bits, so that NaN is equal to itself."""
    if tensor.data_type != other.data_type or list(tensor.dims) != list(other.dims):
        return False
    return bool(numpy_helper.to_array(tensor).tobytes() == numpy_helper.to_array(other).tobytes())
