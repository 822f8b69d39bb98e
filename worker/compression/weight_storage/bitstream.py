"""Store codes in as few bits as the largest of them needs, with the nodes that look them up when the model is loaded.

group    so many codes that they take 8 to 14 bits; its number lies in planes of 8, 4 and 2 bits, each in whole bytes
table    [2^bits, codes of a group]        the codes of every number, made once for each width
codes    = table[number]                   reshaped to the tensor's shape

What is done to each code by itself (`moved`: a Cast, a codebook, a shift) is done to the few rows of the table instead.
ONNX Runtime folds nodes one by one and holds all their results until it has loaded the model, so what counts is how
little of it is as large as the tensor: here the rows and their shape, where bits taken apart were eight times as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from worker.compression.ir.arrays import Array
from worker.compression.weight_storage.elsewhere import Held

PLANES: Final = {1: (8,), 2: (8,), 3: (8, 4), 4: (8,), 5: (8, 2), 6: (8, 4), 7: (8, 4, 2), 8: (8,)}
"""bits of a code → bits of a group's number, plane by plane, the most significant first"""
GROUPS_AT_ONCE: Final = 1 << 16
"""A multiple of 8: planes of so many groups are whole bytes."""


@dataclass
class Stored:
    """A tensor as constants and the nodes that make it of them. What other tensors share stands by its name: constants,
    and nodes by their output, each after what it reads."""

    constants: list[Held] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    shared_constants: dict[str, Held] = field(default_factory=dict)
    shared_nodes: dict[str, onnx.NodeProto] = field(default_factory=dict)

    def bytes(self, present: "Stored | None" = None) -> int:
        """Bytes in the file; what `present` shares already costs nothing."""
        known = present or Stored()
        shared = [part for name, part in self.shared_constants.items() if name not in known.shared_constants]
        tables = [node for name, node in self.shared_nodes.items() if name not in known.shared_nodes]
        return sum(part.ByteSize() + 3 for part in (*self.constants, *self.nodes, *shared, *tables))

    def constant(self, name: str, array: Array) -> str:
        self.constants.append(Held(name, array))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def shared_constant(self, name: str, array: Array) -> str:
        self.shared_constants.setdefault(name, Held(name, array))
        return name

    def shared_node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.shared_nodes.setdefault(output, helper.make_node(kind, inputs, [output], **attributes))
        return output

    def integer(self, prefix: str, value: int) -> str:
        return self.shared_constant(f"{prefix}i{value}", np.array(value, np.int32))


@dataclass(frozen=True)
class Moved:
    """Nodes that follow codes one by one; the codes have to be below `limit` for them, None: any may be."""

    nodes: tuple[onnx.NodeProto, ...] = ()
    limit: int | None = None

    def write(self, stored: Stored, source: str, start: str) -> str:
        """Put the nodes behind `source` in place of the codes; return the last one's output. What is done to a table
        that is shared is shared too, as far as it is the same."""
        for number, node in enumerate(self.nodes):
            made = onnx.NodeProto()
            made.CopyFrom(node)
            made.ClearField("name")
            made.input[read_index(node)] = source
            if source in stored.shared_nodes and node.op_type != "Gather":  # each has a codebook of its own
                arguments = [*node.input[1:], *(str(entry.i) for entry in node.attribute)]
                source = made.output[0] = "_".join((source, *arguments))
                stored.shared_nodes.setdefault(source, made)
            else:
                source = made.output[0] = f"{start}y{number}"
                stored.nodes.append(made)
        return source


def read_index(node: onnx.NodeProto) -> int:
    """Return the index of the input that a moved node's codes come by."""
    return 1 if node.op_type == "Gather" else 0


def width_of(codes: Array) -> int:
    return max(1, int(codes.max(initial=0)).bit_length())


def add_codes(stored: Stored, codes: Array, start: str, prefix: str, moved: Moved) -> str:
    """Add uint8 codes of any shape, as `moved` makes them; the result has one row for each group of codes."""
    width = width_of(codes)
    bits = PLANES[width]
    table = add_table(stored, width, prefix)
    if moved.limit is not None and moved.limit < 1 << width:
        table = stored.node("Mod", [table, stored.integer(prefix, moved.limit)], f"{start}k")
    table = moved.write(stored, table, start)
    number = _add_numbers(stored, _planes(codes.reshape(-1), width), bits, start, prefix)
    return stored.node("Gather", [table, number], f"{start}g")


def _planes(flat: Array, width: int) -> list[Array]:
    """The planes of the groups' numbers, uint8 each, of uint8 codes [n]; so many groups at a time as fit into little
    memory."""
    bits = PLANES[width]
    each = sum(bits) // width
    groups = -(-flat.size // each)
    groups += -groups % (8 // bits[-1])  # planes of whole bytes, so that they are equally long
    planes = [np.empty(groups * count // 8, np.uint8) for count in bits]
    for begin in range(0, groups, GROUPS_AT_ONCE):
        end = min(begin + GROUPS_AT_ONCE, groups)
        part = flat[begin * each : end * each]
        padded = np.concatenate([part, np.zeros((end - begin) * each - part.size, np.uint8)])
        numbers = padded.reshape(-1, each).astype(np.int32) @ _steps(width, each)
        below = sum(bits)
        for plane, count in zip(planes, bits, strict=True):
            below -= count
            bytes_of_parts = ((numbers >> below) & ((1 << count) - 1)).reshape(-1, 8 // count)
            plane[begin * count // 8 : end * count // 8] = (bytes_of_parts << _steps_down(count)).sum(1)
    return planes


def add_reshaped(
    stored: Stored, rows: str, held: int, array: Array, start: str, prefix: str, name: str
) -> None:
    """Add what makes rows with `held` values together the tensor `name` in the shape of `array`."""
    if held != array.size:
        flat = stored.shared_constant(f"{prefix}flat", np.array([-1]))
        rows = stored.node("Reshape", [rows, flat], f"{start}f")
        zero = stored.shared_constant(f"{prefix}zero", np.array([0]))
        end = stored.shared_constant(f"{prefix}e{array.size}", np.array([array.size]))
        rows = stored.node("Slice", [rows, zero, end], f"{start}l")
    sides = "_".join(map(str, array.shape))
    shape = stored.shared_constant(f"{prefix}h{sides}", np.array(array.shape, np.int64))
    stored.node("Reshape", [rows, shape], name)


def held(codes: Array) -> int:
    """Count the values in the rows that `add_codes` returns."""
    bits, width = PLANES[width_of(codes)], width_of(codes)
    each = sum(bits) // width
    groups = -(-codes.size // each)
    return (groups + -groups % (8 // bits[-1])) * each


def stored_codes(name: str, codes: Array, start: str, prefix: str, moved: Moved) -> Stored:
    """Make the tensor `name` that `moved` makes of uint8 codes. Names begin with `start`, those of what is shared with
    `prefix`."""
    stored = Stored()
    rows = add_codes(stored, codes, start, prefix, moved)
    add_reshaped(stored, rows, held(codes), codes, start, prefix, name)
    return stored


def add_table(stored: Stored, width: int, prefix: str) -> str:
    """Add the table of codes, int32 [2^bits of a group, codes of a group]."""
    bits = sum(PLANES[width])
    limits = [stored.integer(prefix, value) for value in (0, 1 << bits, 1)]
    column = stored.shared_constant(f"{prefix}col", np.array([-1, 1]))
    numbers = stored.shared_node("Range", limits, f"{prefix}r{bits}")
    numbers = stored.shared_node("Reshape", [numbers, column], f"{prefix}c{bits}")
    steps = stored.shared_constant(f"{prefix}s{width}", _steps(width, bits // width))
    shifted = stored.shared_node("Div", [numbers, steps], f"{prefix}d{width}")
    return stored.shared_node("Mod", [shifted, stored.integer(prefix, 1 << width)], f"{prefix}t{width}")


def decoded(planes: Sequence[Array], width: int, size: int) -> Array | None:
    """Decode the planes of groups, uint8 each, into uint8 [size]; None where they are not so many."""
    bits = PLANES[width]
    if len(planes) != len(bits) or any(plane.dtype != np.uint8 or plane.ndim != 1 for plane in planes):
        return None
    parts = [
        (plane[:, None] >> _steps_down(part)) & ((1 << part) - 1)
        for plane, part in zip(planes, bits, strict=True)
    ]
    flat = [part.reshape(-1).astype(np.int32) for part in parts]
    if len({part.size for part in flat}) != 1:
        return None
    numbers = flat[0]
    for part, count in zip(flat[1:], bits[1:], strict=True):
        numbers = numbers << count | part
    each = sum(bits) // width
    codes = numbers[:, None] // _steps(width, each) % (1 << width)
    return codes.reshape(-1)[:size].astype(np.uint8) if size <= codes.size else None


def _add_numbers(
    stored: Stored, planes: Sequence[Array], bits: Sequence[int], start: str, prefix: str
) -> str:
    """Add what makes the numbers of groups, int32 [groups], from their planes."""
    number = ""
    for plane, (packed, count) in enumerate(zip(planes, bits, strict=True)):
        at = f"{start}{'abc'[plane]}"
        read = stored.node("Cast", [stored.constant(f"{at}m", packed)], f"{at}i", to=TensorProto.INT32)
        if count != 8:
            read = stored.node("Gather", [add_table(stored, count, prefix), read], f"{at}g")
            flat = stored.shared_constant(f"{prefix}flat", np.array([-1]))
            read = stored.node("Reshape", [read, flat], f"{at}f")
        if plane:
            raised = stored.node("Mul", [number, stored.integer(prefix, 1 << count)], f"{at}u")
            read = stored.node("Add", [raised, read], f"{at}v")
        number = read
    return number


def _steps(width: int, each: int) -> Array:
    return (1 << (width * np.arange(each - 1, -1, -1))).astype(np.int32)


def _steps_down(count: int) -> Array:
    """Return by how many bits the parts of a byte are shifted."""
    return np.arange(8 - count, -1, -count)
