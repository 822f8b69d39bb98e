"""Zeros and few values stored in little space, as the last thing before the file: each tensor in its smallest form.

    dense          b bytes a value
    bitmask        one bit a value, and b bytes for each value that is not zero; a few nodes put them back together:

        bits   = (mask >> [7 … 0]) mod 2             one for each value, in order
        value  = [0, kept…][cumsum(bits) · bits]     reshaped to the tensor's shape, under the tensor's name

    bits           of codes (`shared_weights`): as many bits a value as the largest needs (`bit_codes`); what a bitmask
                   keeps of codes is stored so too
    SparseTensor   b + 8 bytes for each value that is not zero, as a Constant (the checker's full check, which asks for
                   dense inputs, refuses sparse initializers of most operators; runtimes read both)

All shapes are static and all inputs constant, so ONNX Runtime folds the nodes when it loads the model (NonZero, whose
shape depends on values, it would not) and runs the very graph it runs for dense weights. Every bit survives: only what
is zero in all of its bits counts as zero. `unpack` finds these nodes again and makes the tensor dense.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from worker.compression.graph import bit_codes
from worker.compression.graph.bit_codes import SHIFTS, Stored

Array = npt.NDArray[Any]

SMALLEST: Final = 64
"""Values below which no form but the dense one can be smaller."""
LARGEST: Final = 2**26
"""Values up to which it was seen that ONNX Runtime folds the nodes."""
OPSET: Final = 11
"""The first with CumSum, BitShift and sparse Constants."""
WEIGHTS: Final = frozenset(
    {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
    | {TensorProto.INT8, TensorProto.UINT8}
)
SHARED_BYTES: Final = 200
"""At most, of the constants that all bitmasks share."""
CHAIN: Final = ("Gather", "Mul", "CumSum", "Reshape", "Cast", "Mod", "BitShift")
"""What stands before the last Reshape, from behind."""


@dataclass
class Packing:
    """Bytes of all weights, dense and as stored, and how many tensors are in which form."""

    dense_bytes: int = 0
    stored_bytes: int = 0
    forms: Counter[str] = field(default_factory=Counter)


def pack(model: onnx.ModelProto) -> Packing:
    """Give each initializer of the main graph its smallest form, in place. The model is compact already."""
    packing, packer = Packing(), _Packer(model)
    tensors = list(model.graph.initializer)
    del model.graph.initializer[:]
    for tensor in tensors:
        form = packer.store(tensor)
        packing.forms[form] += 1
        packing.dense_bytes += tensor.ByteSize()
    packer.finish()
    stored = (*model.graph.initializer, *packer.nodes)
    packing.stored_bytes = sum(part.ByteSize() for part in stored)
    return packing


class _Packer:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph = model.graph
        self._opset = next((o.version for o in model.opset_import if o.domain == ""), 1)
        self._fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
        self._prefix, self._masks = _unused_prefix(model), 0
        self._streams: set[int] = set()
        self._codes = bit_codes.codes_of(model)

    def store(self, tensor: TensorProto) -> str:
        """Answers the form."""
        if not self._may_be_packed(tensor):
            self._graph.initializer.append(tensor)
            return "dense"
        array = numpy_helper.to_array(tensor)
        sparse = _sparse(tensor.name, array) if self._opset >= OPSET else None
        mask = self._bitmask(tensor.name, array) if self._opset >= OPSET else None
        if tensor.name in self._codes and mask is not None:
            return self._store_codes(tensor, array, mask)
        sizes = {"dense": tensor.ByteSize()}
        sizes |= {"sparse_tensor": sparse.ByteSize()} if sparse is not None else {}
        if mask is not None:
            sizes["bitmask"] = mask.bytes() + (0 if self._masks else SHARED_BYTES)
        form = min(sizes, key=lambda name: sizes[name])
        if form == "bitmask" and mask is not None:
            self._keep(mask)
        elif form == "sparse_tensor":
            self.nodes.append(sparse)
        else:
            self._graph.initializer.append(tensor)
        return form

    def _store_codes(self, tensor: TensorProto, codes: Array, mask: Stored) -> str:
        """Dense, in bits, as a bitmask, or a bitmask with what it keeps in bits."""
        kept = numpy_helper.to_array(mask.constants[1])
        shared = 0 if self._masks or self._streams else SHARED_BYTES
        within = self._in_bits(mask.constants[1].name, kept).before(mask.without(1))
        ways = {"bits": self._in_bits(tensor.name, codes), "bitmask": mask, "bitmask_of_bits": within}
        form = min(ways, key=lambda name: ways[name].bytes())
        if tensor.ByteSize() <= ways[form].bytes() + shared:
            self._graph.initializer.append(tensor)
            return "dense"
        self._keep(ways[form])
        return form

    def _in_bits(self, name: str, codes: Array) -> Stored:
        return bit_codes.stored(name, codes, f"{self._prefix}{self._masks}c", self._prefix)

    def _keep(self, stored: Stored) -> None:
        self._graph.initializer.extend(stored.constants)
        self.nodes += stored.nodes
        self._streams |= stored.widths
        self._masks += 1

    def finish(self) -> None:
        """What the bitmasks share, and their nodes before all others."""
        others = list(self._graph.node)
        del self._graph.node[:]
        self._graph.node.extend([*self.nodes, *others])
        if not self._masks:
            return
        shared = {"shifts": SHIFTS, "two": np.array(2, np.uint8), "flat": np.array([-1]), "axis": np.array(0)}
        self._graph.initializer.extend(
            numpy_helper.from_array(value, self._prefix + name) for name, value in shared.items()
        )
        self._graph.initializer.extend(
            numpy_helper.from_array(array, name)
            for width in sorted(self._streams)
            for name, array in bit_codes.shared(width, self._prefix).items()
        )
        if any(node.op_type == "Slice" for node in self.nodes):
            self._graph.initializer.append(numpy_helper.from_array(np.array([0]), self._prefix + "zero"))

    def _may_be_packed(self, tensor: TensorProto) -> bool:
        if tensor.data_type not in WEIGHTS or tensor.name in self._fixed:
            return False
        return SMALLEST <= int(np.prod(tensor.dims)) <= LARGEST

    def _bitmask(self, name: str, array: Array) -> Stored:
        flat = array.reshape(-1)
        kept = _not_zero(flat)
        start = f"{self._prefix}{self._masks}"
        p, own = self._prefix, [f"{start}{letter}" for letter in "abcdefgh"]
        constants = {
            f"{start}m": np.packbits(kept)[:, None],
            f"{start}v": np.concatenate([np.zeros(1, flat.dtype), flat[kept]]),
            f"{start}s": np.array(array.shape, np.int64),
        }
        nodes = [
            helper.make_node("BitShift", [f"{start}m", f"{p}shifts"], [own[0]], direction="RIGHT"),
            helper.make_node("Mod", [own[0], f"{p}two"], [own[1]]),
            helper.make_node("Cast", [own[1]], [own[2]], to=TensorProto.INT32),
            helper.make_node("Reshape", [own[2], f"{p}flat"], [own[3]]),
            helper.make_node("CumSum", [own[3], f"{p}axis"], [own[4]]),
            helper.make_node("Mul", [own[4], own[3]], [own[5]]),
        ]
        last = own[5]
        if flat.size % 8:
            constants[f"{start}n"], last = np.array([flat.size]), own[6]
            nodes.append(helper.make_node("Slice", [own[5], f"{p}zero", f"{start}n"], [last]))
        nodes += [
            helper.make_node("Gather", [f"{start}v", last], [own[7]]),
            helper.make_node("Reshape", [own[7], f"{start}s"], [name]),
        ]
        return Stored([numpy_helper.from_array(a, n) for n, a in constants.items()], nodes)


def unpack(model: onnx.ModelProto) -> int:
    """Make every tensor dense again that `pack` stored as a bitmask, in place. Answers how many.

    The nodes before it stay, without a reader. What only looks alike stays as it is.
    """
    graph = model.graph
    sources = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    found = []
    for node in graph.node:  # what a bitmask keeps is in bits before it
        dense = bit_codes.dense(node, sources, constants)
        dense = _dense(node, sources, constants) if dense is None else dense
        if dense is not None:
            found.append(node)
            constants[node.output[0]] = numpy_helper.from_array(dense, node.output[0])
    for node in found:
        graph.node.remove(node)
        graph.initializer.append(constants[node.output[0]])
    return len(found)


def _dense(
    last: onnx.NodeProto, sources: dict[str, onnx.NodeProto], constants: dict[str, TensorProto]
) -> Array | None:
    """The tensor that a bitmask's last Reshape makes; None for any other node."""
    nodes = bit_codes.chain(last, sources, CHAIN, {"Mul": 1})
    if nodes is None:
        return None
    gather, *_, flatten, _, modulo, shift = nodes
    read = [gather.input[0], last.input[1], shift.input[0], *(n.input[-1] for n in (flatten, modulo, shift))]
    if any(item not in constants for item in read):
        return None
    values, shape, mask, flat, two, shifts = (numpy_helper.to_array(constants[item]) for item in read)
    alike = flat.tolist() == [-1] and two.tolist() == 2 and np.array_equal(shifts, SHIFTS)
    if not alike or mask.dtype != np.uint8 or values.ndim != 1 or (shape < 0).any():
        return None
    bits, size = np.unpackbits(mask), int(np.prod(shape))
    if size > bits.size or int(bits.sum()) + 1 != values.size or bits[size:].any():
        return None
    dense = np.zeros(size, values.dtype)
    dense[bits[:size].astype(bool)] = values[1:]
    return dense.reshape(shape)


def _sparse(name: str, array: Array) -> onnx.NodeProto:
    flat = array.reshape(-1)
    places = np.flatnonzero(_not_zero(flat))
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(flat[places], name),
        numpy_helper.from_array(places.astype(np.int64), f"{name}_places"),
        array.shape,
    )
    return helper.make_node("Constant", [], [name], sparse_value=sparse)


def _not_zero(flat: Array) -> npt.NDArray[np.bool_]:
    """By bits: -0.0 is not zero."""
    bits: Array = flat.view(np.dtype(f"u{flat.dtype.itemsize}"))
    return np.asarray(bits != 0, bool)


def _unused_prefix(model: onnx.ModelProto) -> str:
    """The beginning of names that no value of the model has."""
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    names |= {tensor.name for tensor in model.graph.initializer} | {v.name for v in model.graph.input}
    prefix, number = "Z", 0
    while any(name.startswith(prefix) for name in names):
        number += 1
        prefix = f"Z{number}_"
    return prefix
