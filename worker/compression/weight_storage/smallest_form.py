"""Zeros and few values stored in little space, as the last thing before the file: each tensor in its smallest form.

    dense          b bytes a value
    bitmask        one bit a value, and b bytes for each value that is not zero; a few nodes put them back together:

        place  = [1 … 8 within the byte] + ones before the byte, times the bit
        value  = [0, kept…][place]                   by GatherElements, which is six times as fast as Gather; reshaped
                                                     to the tensor's shape, under the tensor's name

    bits           of `codebook_weights`: as many bits a code as the largest needs (`bitstream`); what a bitmask
                   keeps of codes is stored so too
    SparseTensor   b + 8 bytes for each value that is not zero, as a Constant (the checker's full check, which asks for
                   dense inputs, refuses sparse initializers of most operators; runtimes read both)

All shapes are static and all inputs constant, so ONNX Runtime folds the nodes when it loads the model (NonZero and
Compress, whose shapes depend on values, it would not) and runs the very graph it runs for dense weights. Every bit
survives: only what is zero in all of its bits counts as zero. `unpacking` finds these nodes again.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from worker.compression.ir.arrays import Array
from worker.compression.weight_storage import bitstream
from worker.compression.weight_storage.bitstream import Moved, Stored
from worker.compression.weight_storage.stacked_codebooks import Readers, axis_of, readers_of, stack_codebooks

SMALLEST: Final = 64
"""Values below which no form but the dense one can be smaller."""
LARGEST: Final = 2**26
"""Values up to which it was seen that ONNX Runtime folds the nodes."""
OPSET: Final = 11
"""The first with CumSum, Range and sparse Constants."""
WEIGHTS: Final = frozenset(
    {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
    | {TensorProto.INT8, TensorProto.UINT8}
)


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
        self._prefix, self._count = _unused_prefix(model), 0
        self._shared = Stored()
        self._codes = moved_nodes(model)
        self._fixed |= {n.input[0] for m in self._codes.values() for n in m.nodes if n.op_type == "Gather"}
        self._gone: set[str] = set()

    def store(self, tensor: TensorProto) -> str:
        """Answers the form."""
        ways = self._ways(tensor) if self._may_be_packed(tensor) else {}
        moved = self._codes.get(tensor.name, Moved())
        dense = tensor.ByteSize() + sum(node.ByteSize() for node in moved.nodes)
        sizes = {"dense": dense, **{form: way.bytes(self._shared) for form, way in ways.items()}}
        form = min(sizes, key=lambda name: sizes[name])
        if form == "dense":
            self._graph.initializer.append(tensor)
        else:
            self._keep(ways[form], moved)
        return form

    def _ways(self, tensor: TensorProto) -> dict[str, Stored]:
        array, start, prefix = numpy_helper.to_array(tensor), f"{self._prefix}{self._count}", self._prefix
        moved = self._codes.get(tensor.name)
        if moved is None:
            masked = bitmask(tensor.name, array, start, prefix)
            return {"sparse_tensor": _sparse(tensor.name, array), "bitmask": masked}
        name = moved.nodes[-1].output[0]
        return {
            "bits": bitstream.stored_codes(name, array, start, prefix, moved),
            "bitmask": bitmask(name, array, start, prefix, moved),
            "bitmask_of_bits": bitmask(name, array, start, prefix, moved, in_bits=True),
        }

    def _keep(self, stored: Stored, moved: Moved) -> None:
        self._graph.initializer.extend(stored.constants)
        self.nodes += stored.nodes
        self._shared.shared_constants.update(stored.shared_constants)
        self._shared.shared_nodes |= {
            name: node for name, node in stored.shared_nodes.items() if name not in self._shared.shared_nodes
        }
        self._gone |= {node.output[0] for node in moved.nodes}
        self._count += 1

    def finish(self) -> None:
        """What the tensors share, and their nodes before all others."""
        others = [node for node in self._graph.node if not self._gone.intersection(node.output)]
        del self._graph.node[:]
        self.nodes = [*self._shared.shared_nodes.values(), *self.nodes]
        self._graph.node.extend([*self.nodes, *others])
        self._graph.initializer.extend(self._shared.shared_constants.values())
        stack_codebooks(self._graph, self._opset, self._prefix)
        self.nodes = list(self._graph.node)[: len(self._graph.node) - len(others)]

    def _may_be_packed(self, tensor: TensorProto) -> bool:
        if tensor.data_type not in WEIGHTS or tensor.name in self._fixed or self._opset < OPSET:
            return False
        return SMALLEST <= int(np.prod(tensor.dims)) <= LARGEST


def moved_nodes(model: onnx.ModelProto) -> dict[str, Moved]:
    """Of the uint8 constants of the main graph that a single Cast reads, what is done to each code by itself."""
    readers = readers_of(model.graph)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    codes = {}
    for name, tensor in constants.items():
        moved = _moved(name, readers, constants) if tensor.data_type == TensorProto.UINT8 else Moved()
        if moved.nodes and moved.nodes[0].op_type == "Cast":
            codes[name] = moved
    return codes


def _moved(name: str, readers: Readers, constants: dict[str, TensorProto]) -> Moved:
    nodes: list[onnx.NodeProto] = []
    limit = None
    while (read := readers.get(name, [None])) and len(read) == 1 and (node := read[0]) is not None:
        if not is_each_by_itself(node, name, constants):
            break
        if node.op_type == "Gather":
            limit = int(constants[node.input[0]].dims[0])
        nodes.append(node)
        name = node.output[0]
    return Moved(tuple(nodes), limit)


def is_each_by_itself(node: onnx.NodeProto, name: str, constants: dict[str, TensorProto]) -> bool:
    """Whether a node makes of each number of the value alone, and of constants, one of its answer."""
    if node.domain not in ("", "ai.onnx"):
        return False
    match node.op_type:
        case "Cast":
            return bool(node.input[0] == name)
        case "Gather":
            table = constants.get(node.input[0])
            rows = axis_of(node) == 0
            return bool(node.input[1] == name and table is not None and len(table.dims) == 1 and rows)
        case "Sub":
            less = constants.get(node.input[1])
            return bool(node.input[0] == name and less is not None and not less.dims)
    return False


def bitmask(
    name: str,
    array: Array,
    start: str,
    prefix: str,
    moved: Moved = Moved(),  # noqa: B008
    *,
    in_bits: bool = False,
) -> Stored:
    """The tensor `name` that `moved` makes of the array, or the array itself; `in_bits`: what is kept are codes."""
    stored, numbers = Stored(), array.reshape(-1)
    nonzero = not_zero(numbers)
    values = np.concatenate([np.zeros(1, numbers.dtype), numbers[nonzero]])
    if in_bits:
        inner, source = f"{start}q", f"{start}w"
        rows = bitstream.add_codes(stored, values, inner, prefix, moved)
        bitstream.add_reshaped(stored, rows, bitstream.held(values), values, inner, prefix, source)
    else:
        source = moved.write(stored, stored.constant(f"{start}v", values), start)
    index = stored.node(
        "Cast", [stored.constant(f"{start}m", np.packbits(nonzero))], f"{start}a", to=TensorProto.INT32
    )
    flat = stored.shared_constant(f"{prefix}flat", np.array([-1]))
    places = stored.node("Reshape", [_add_places(stored, index, start, prefix), flat], f"{start}i")
    rows = stored.node("GatherElements", [source, places], f"{start}h")
    bitstream.add_reshaped(stored, rows, 8 * -(-numbers.size // 8), array, start, prefix, name)
    return stored


def _add_places(stored: Stored, index: str, start: str, prefix: str) -> str:
    """int32 [bytes, 8]: how many ones up to this one; 0 for zeros."""
    bits = bitstream.add_table(stored, 1, prefix)
    along, down = (stored.shared_constant(f"{prefix}x{axis}", np.array(axis)) for axis in (1, 0))
    last = stored.shared_constant(f"{prefix}last", np.array([7]))
    within = stored.shared_node("CumSum", [bits, along], f"{prefix}p")
    count = stored.shared_node("Gather", [within, last], f"{prefix}n", axis=1)
    counts = stored.node("Gather", [count, index], f"{start}b")
    before = stored.node("CumSum", [counts, down], f"{start}c", exclusive=1)
    place = stored.node("Add", [stored.node("Gather", [within, index], f"{start}d"), before], f"{start}e")
    ones = stored.node("Gather", [bits, index], f"{start}o")
    return stored.node("Mul", [place, ones], f"{start}p")


def _sparse(name: str, array: Array) -> Stored:
    flat = array.reshape(-1)
    places = np.flatnonzero(not_zero(flat))
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(flat[places], name),
        numpy_helper.from_array(places.astype(np.int64), f"{name}_places"),
        array.shape,
    )
    return Stored(nodes=[helper.make_node("Constant", [], [name], sparse_value=sparse)])


def not_zero(flat: Array) -> npt.NDArray[np.bool_]:
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
