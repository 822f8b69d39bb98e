"""Codes in as few bits as the largest of them needs, and the nodes that bring them back to a byte each.

bits    = (bytes >> [7 … 0]) mod 2             reshaped to [n, b], the first bit the most significant
code    = bits · [2^(b-1) … 2, 1]              as uint8 in the tensor's shape, under the tensor's name
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

SHIFTS: Final = np.arange(7, -1, -1, dtype=np.uint8)
CHAIN: Final = ("Cast", "MatMulInteger", "Reshape", "Mod", "BitShift")
"""What stands before the last Reshape, from behind."""


@dataclass
class Stored:
    """A tensor as constants and the nodes that make it of them; `widths` of the bits that are among them."""

    constants: list[TensorProto]
    nodes: list[onnx.NodeProto]
    widths: set[int] = field(default_factory=set)

    def bytes(self) -> int:
        return sum(part.ByteSize() + 2 for part in (*self.constants, *self.nodes))

    def without(self, index: int) -> "Stored":
        """Without that constant, which something else has to make."""
        rest = [*self.constants[:index], *self.constants[index + 1 :]]
        return Stored(rest, self.nodes, self.widths)

    def before(self, other: "Stored") -> "Stored":
        return Stored(
            [*self.constants, *other.constants], [*self.nodes, *other.nodes], self.widths | other.widths
        )


def codes_of(model: onnx.ModelProto) -> set[str]:
    """The uint8 constants of the main graph that a single Cast reads, and nothing else."""
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    return {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.UINT8 and readers.get(tensor.name) == ["Cast"]
    }


def stored(name: str, codes: Array, start: str, prefix: str) -> Stored:
    """uint8 codes of any shape. Names begin with `start`, those of what is shared with `prefix`."""
    width = max(1, int(codes.max(initial=0)).bit_length())
    places = np.arange(width - 1, -1, -1, dtype=np.uint8)
    bits = (codes.reshape(-1, 1) >> places) & 1
    size = bits.size // width
    stream = np.packbits(bits.reshape(-1))
    row, powers = shared(width, prefix)
    constants = {f"{start}m": stream[:, None], f"{start}s": np.array(codes.shape, np.int64)}
    own = [f"{start}{letter}" for letter in "abcdefg"]
    nodes = [
        helper.make_node("BitShift", [f"{start}m", f"{prefix}shifts"], [own[0]], direction="RIGHT"),
        helper.make_node("Mod", [own[0], f"{prefix}two"], [own[1]]),
    ]
    last = own[1]
    if bits.size % 8:
        constants[f"{start}n"] = np.array([bits.size])
        nodes.append(helper.make_node("Reshape", [last, f"{prefix}flat"], [own[2]]))
        nodes.append(helper.make_node("Slice", [own[2], f"{prefix}zero", f"{start}n"], [own[3]]))
        last = own[3]
    assert size * width == bits.size
    nodes += [
        helper.make_node("Reshape", [last, row], [own[4]]),
        helper.make_node("MatMulInteger", [own[4], powers], [own[5]]),
        helper.make_node("Cast", [own[5]], [own[6]], to=TensorProto.UINT8),
        helper.make_node("Reshape", [own[6], f"{start}s"], [name]),
    ]
    return Stored([numpy_helper.from_array(a, n) for n, a in constants.items()], nodes, {width})


def shared(width: int, prefix: str) -> dict[str, Array]:
    """What all codes of this width share: the shape of their bits, and the powers of two."""
    powers = (1 << np.arange(width - 1, -1, -1)).astype(np.uint8)[:, None]
    return {f"{prefix}row{width}": np.array([-1, width]), f"{prefix}pow{width}": powers}


def chain(
    last: onnx.NodeProto,
    sources: dict[str, onnx.NodeProto],
    operators: Sequence[str],
    cut: dict[str, int],
) -> list[onnx.NodeProto] | None:
    """The nodes of these operators before a Reshape, from behind; None where others stand there.

    Each reads the next as its first input, a Gather as its second. `cut`: between this operator and its reader a Slice
    may stand; so many nodes, it among them, are then passed over.
    """
    if last.op_type != "Reshape" or len(last.input) != 2:
        return None
    nodes, name = [], last.input[0]
    for operator in operators:
        node = sources.get(name)
        if node is not None and node.op_type == "Slice":
            for _ in range(cut.get(operator, 0)):
                node = None if node is None or not node.input else sources.get(node.input[0])
        if node is None or node.op_type != operator or not node.input:
            return None
        nodes.append(node)
        name = node.input[1 if operator == "Gather" and len(node.input) > 1 else 0]
    return nodes


def dense(
    last: onnx.NodeProto, sources: dict[str, onnx.NodeProto], constants: dict[str, TensorProto]
) -> Array | None:
    """The uint8 codes that the last Reshape makes; None for any other node."""
    nodes = chain(last, sources, CHAIN, {"Mod": 2})
    if nodes is None:
        return None
    _, product, row, modulo, shift = nodes
    read = [shift.input[0], last.input[1], *(n.input[-1] for n in (product, row, modulo, shift))]
    if any(item not in constants for item in read):
        return None
    stream, shape, powers, rows, two, shifts = (numpy_helper.to_array(constants[item]) for item in read)
    width = powers.size
    alike = rows.tolist() == [-1, width] and two.tolist() == 2 and np.array_equal(shifts, SHIFTS)
    usual = np.array_equal(powers, shared(width, "")[f"pow{width}"]) if 1 <= width <= 8 else False
    size = int(np.prod(shape)) * width
    if not (alike and usual and stream.dtype == np.uint8) or (shape < 0).any() or size > stream.size * 8:
        return None
    bits = np.unpackbits(stream)[:size].reshape(-1, width)
    return np.asarray((bits.astype(np.int64) @ powers.astype(np.int64)).astype(np.uint8).reshape(shape))
