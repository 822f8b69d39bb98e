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
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from worker.compression.ir.arrays import Array
from worker.compression.ir.default_opset import default_opset
from worker.compression.weight_storage import bitstream
from worker.compression.weight_storage.bitmask import bitmask, not_zero
from worker.compression.weight_storage.bitstream import Moved, Stored
from worker.compression.weight_storage.elsewhere import Elsewhere, dense_bytes
from worker.compression.weight_storage.stacked_codebooks import Readers, axis_of, readers_of, stack_codebooks

SMALLEST: Final = 64
"""Values below which no form but the dense one can be smaller."""
LARGEST: Final = 2**26
"""Values up to which it was seen that ONNX Runtime folds the nodes."""
PLACE_BYTES: Final = 8
"""Of one value's place in a sparse tensor."""
MOST_OTHER_BYTES: Final = 4096
"""What a bitmask takes besides bits and values, at most."""
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


def pack(model: onnx.ModelProto, elsewhere: Elsewhere | None = None) -> Packing:
    """Give each initializer of the main graph its smallest form, in place. The model is compact already.

    Tensors whose numbers are `elsewhere` are read one at a time, and what is stored of them goes there."""
    packing, packer = Packing(), _Packer(model, elsewhere or Elsewhere())
    tensors = list(model.graph.initializer)
    del model.graph.initializer[:]
    for tensor in tensors:
        form = packer.store(tensor)
        packing.forms[form] += 1
        packing.dense_bytes += dense_bytes(tensor)
    packer.finish()
    packing.stored_bytes = sum(map(dense_bytes, model.graph.initializer))
    packing.stored_bytes += sum(node.ByteSize() for node in packer.nodes)
    return packing


class _Packer:
    def __init__(self, model: onnx.ModelProto, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        self.nodes: list[onnx.NodeProto] = []
        self._graph = model.graph
        self._opset = default_opset(model)
        self._fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
        self._prefix, self._count = _unused_prefix(model), 0
        self._shared = Stored()
        self._codes = moved_nodes(model)
        self._fixed |= {n.input[0] for m in self._codes.values() for n in m.nodes if n.op_type == "Gather"}
        self._gone: set[str] = set()

    def store(self, tensor: TensorProto) -> str:
        """Answers the form."""
        moved = self._codes.get(tensor.name, Moved())
        form, least = "dense", dense_bytes(tensor) + sum(node.ByteSize() for node in moved.nodes)
        chosen = None
        if self._may_be_packed(tensor):
            for name, way in self._ways(tensor.name, self._elsewhere.array_of(tensor)):
                if (size := way.bytes(self._shared)) < least:
                    form, least, chosen = name, size, way
            self._elsewhere.release(tensor)
        if chosen is None:
            self._graph.initializer.append(tensor)
        else:
            self._keep(chosen, moved)
        return form

    def _ways(self, name: str, array: Array) -> Iterator[tuple[str, Stored]]:
        """One after the other, without those that cannot be the smallest."""
        start, prefix = f"{self._prefix}{self._count}", self._prefix
        moved, flat = self._codes.get(name), array.reshape(-1)
        count, places = int(np.count_nonzero(not_zero(flat))), flat.size / 8
        if moved is None:
            if PLACE_BYTES * count <= places + MOST_OTHER_BYTES:
                yield "sparse_tensor", _sparse(name, array)
            if places + array.itemsize * count < array.nbytes:
                yield "bitmask", bitmask(name, array, start, prefix)
            return
        name = moved.nodes[-1].output[0]
        yield "bits", bitstream.stored_codes(name, array, start, prefix, moved)
        each = bitstream.width_of(flat) / 8
        most = each * flat.size + MOST_OTHER_BYTES
        if places + count < most:
            yield "bitmask", bitmask(name, array, start, prefix, moved)
        if places + each * count < most:
            yield "bitmask_of_bits", bitmask(name, array, start, prefix, moved, in_bits=True)

    def _keep(self, stored: Stored, moved: Moved) -> None:
        self._graph.initializer.extend(map(self._elsewhere.keep, stored.constants))
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
        self._graph.initializer.extend(held.proto() for held in self._shared.shared_constants.values())
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


def _sparse(name: str, array: Array) -> Stored:
    flat = array.reshape(-1)
    places = np.flatnonzero(not_zero(flat))
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(flat[places], name),
        numpy_helper.from_array(places.astype(np.int64), f"{name}_places"),
        array.shape,
    )
    return Stored(nodes=[helper.make_node("Constant", [], [name], sparse_value=sparse)])


def _unused_prefix(model: onnx.ModelProto) -> str:
    """The beginning of names that no value of the model has."""
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    names |= {tensor.name for tensor in model.graph.initializer} | {v.name for v in model.graph.input}
    prefix, number = "Z", 0
    while any(name.startswith(prefix) for name in names):
        number += 1
        prefix = f"Z{number}_"
    return prefix
