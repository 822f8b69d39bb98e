"""Compute once what is computed from constants alone.

    initializers ─► Transpose ─► value      becomes      the initializer `value`
    Shape(x), x of static shape             becomes      its numbers
    Gather(Shape(x), 1), x of [N, 3, …]     becomes      3

A node stays where folding would undo or cost something: quantization and its inverse, the unpacking of bits, anything
random, what gives a graph's output, a result larger than the constants it frees by more than `MAX_ADDED_BYTES`, a Cast
that widens (that is how weights are stored smaller), and computations on external weights of large models, which stay
mapped from the file.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.nodes.folding_allowance import Allowance
from worker.compression.graph.nodes.known_shapes import slice_of_shape
from worker.compression.graph.normal_form.branches import can_be_taken
from worker.compression.graph.normal_form.tracing import Traced
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.values import array_of, has_subgraph, is_constant, subgraphs_of, tensor_of
from worker.compression.onnx_files.model_files import MAX_READ_BYTES
from worker.compression.runtime.evaluate import (
    PLAIN_DTYPES,
    Array,
    Call,
    accepts,
    evaluate,
    expected_bytes,
)

MAX_ADDED_BYTES: Final = 4096
"""Bytes that a folded node may add to the model: position ids, masks, a recurrent net's initial state."""

MAX_ADDED_BYTES_OF_CAST: Final = 64
LARGE_EXTERNAL_BYTES: Final = 2**28
"""External weights of this size together are never computed with: the results would lie in memory."""

NEVER_FOLDED: Final = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "BitwiseAnd",
        "BitShift",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Multinomial",
        "Bernoulli",
        "Dropout",
    }
)
ITERATES: Final = frozenset({"Loop", "Scan", "SequenceMap"})
"""Shapes in their bodies may change from one round to the next."""

UNKNOWN_DIMS: Final = (7919, 104729)
"""Two numbers that an unknown dimension is tried as: a result that is the same for both does not depend on it."""


def fold(model: ir.Model, traced: Traced, allowance: Allowance) -> bool:
    """Replace what can be computed now by initializers, subgraphs included. Returns whether there was anything."""
    plan = _Plan(model, traced, allowance)
    for node, iterated in nodes_in_bodies(model.graph):
        plan.consider(node, iterated)
    plan.drop_what_readers_refuse()
    for node, results in plan.results.items():
        _replace(node, results)
    return bool(plan.results)


def nodes_in_bodies(graph: ir.Graph, iterated: bool = False) -> Iterator[tuple[ir.Node, bool]]:
    """Yield every node before those of its subgraphs, and whether it lies in a body that iterates."""
    for node in list(graph):
        yield node, iterated
        for subgraph in subgraphs_of(node):
            yield from nodes_in_bodies(subgraph, iterated or node.op_type in ITERATES)


class _Plan:
    """The nodes that would be folded, in the order of the graph, before anything is changed."""

    def __init__(self, model: ir.Model, traced: Traced, allowance: Allowance) -> None:
        self._allowance = allowance
        self.results: dict[ir.Node, dict[str, Array]] = {}
        self._opset = opset_of(model)
        self._traced = traced
        self._external_stays = _external_bytes(model) >= LARGE_EXTERNAL_BYTES

    def consider(self, node: ir.Node, iterated: bool) -> None:
        """Compute a node if it can and may be folded."""
        if node.domain != "" or node.op_type in NEVER_FOLDED or not node.inputs or has_subgraph(node):
            return
        if self._allowance.nodes <= 0 or any(value.is_graph_output() for value in node.outputs):
            return  # an output stays computed: not every runtime lets it be a constant
        results = self._of_shape(node) if not iterated else None
        if results is None:
            results = self._of_constants(node)
        if results is not None and _bytes(results) <= self._max_bytes(node):
            self.results[node] = results

    def drop_what_readers_refuse(self) -> None:
        """Backwards, since ONNX Runtime would fold from where we stop: what feeds a node that stays, stays too."""
        refused: set[ir.Node] = set()
        for node in reversed(list(self.results)):
            readers = {use.node for value in node.outputs for use in value.uses()}
            if any(r in refused or not (r in self.results or self._is_accepted(r)) for r in readers):
                del self.results[node]
                refused.add(node)

    def _is_accepted(self, reader: ir.Node) -> bool:
        known = {
            str(v.name): a for v in reader.inputs if v is not None and (a := self._planned(v)) is not None
        }
        condition = reader.inputs[0]
        if reader.op_type == "If" and condition is not None and condition.name in known:
            taken = known[condition.name]
            return taken.size == 1 and can_be_taken(reader, bool(taken.item()), self._opset)
        return accepts(reader, self._opset, known)

    def _planned(self, value: ir.Value) -> Array | None:
        source = value.producer()
        return None if source is None else self.results.get(source, {}).get(str(value.name))

    def _array(self, value: ir.Value) -> Array:
        planned = self._planned(value)
        return array_of(value) if planned is None else planned

    def _max_bytes(self, node: ir.Node) -> int:
        """Bound the bytes of the results: those of the constants that nobody else reads, and a little."""
        freed = {
            value: self._array(value).nbytes
            for value in node.inputs
            if value is not None
            and self._is_constant(value)
            and all(use.node is node for use in value.uses())
        }
        added = MAX_ADDED_BYTES_OF_CAST if node.op_type.startswith("Cast") else MAX_ADDED_BYTES
        return sum(freed.values()) + added

    def _of_constants(self, node: ir.Node) -> dict[str, Array] | None:
        if not all(value is None or self._is_constant(value) for value in node.inputs):
            return None
        # the size is told from what is small before anything large is read
        arrays = [None if value is None else self._array(value) for value in node.inputs]
        call = Call(node, self._opset, arrays)
        expected = expected_bytes(call)
        if expected is None or expected > self._max_bytes(node):
            return None
        read = [array for array in arrays if array is not None]
        size = sum(array.size for array in read), sum(array.nbytes for array in read)
        return evaluate(call) if self._allowance.covers(node, *size) else None

    def _of_shape(self, node: ir.Node) -> dict[str, Array] | None:
        """Compute a Shape, a Size, or a choice from a Shape, where the dimensions it needs are static."""
        name, source = str(node.outputs[0].name), node.inputs[0]
        if node.op_type in ("Shape", "Size"):
            dims = self._dims(source)
            if dims is None:
                return None
            if node.op_type == "Shape":
                dims = dims[slice_of_shape(node)]
            known = [dim for dim in dims if dim is not None]
            if len(known) < len(dims):
                return None
            return {name: np.array(known if node.op_type == "Shape" else np.prod(known), np.int64)}
        if node.op_type in ("Gather", "Slice") and source is not None:
            return self._choice(node, source.producer())
        return None

    def _choice(self, node: ir.Node, shape: ir.Node | None) -> dict[str, Array] | None:
        if shape is None or shape.op_type != "Shape" or shape.domain != "":
            return None
        dims = self._dims(shape.inputs[0])
        if dims is None or not all(v is None or self._is_constant(v) for v in node.inputs[1:]):
            return None
        if not self._allowance.covers(node, len(dims), 8 * len(dims)):
            return None
        rest = [None if value is None else self._array(value) for value in node.inputs[1:]]
        tried = []
        for number in UNKNOWN_DIMS:
            chosen_from = np.array(
                [number if dim is None else dim for dim in dims[slice_of_shape(shape)]], np.int64
            )
            tried.append(evaluate(Call(node, self._opset, [chosen_from, *rest])))
        first, second = tried
        if first is None or second is None:
            return None
        return first if all(np.array_equal(first[name], second[name]) for name in first) else None

    def _dims(self, value: ir.Value | None) -> list[int | None] | None:
        """Return the dimensions that follow from the model's inputs; what it merely declares may be stale."""
        if value is None:
            return None
        if value.const_value is not None:
            return [int(dim) for dim in value.const_value.shape.numpy()]
        shape = self._traced.get(value)
        return None if shape is None else [dim if isinstance(dim, int) else None for dim in shape]

    def _is_constant(self, value: ir.Value) -> bool:
        if self._planned(value) is not None:
            return True
        if not is_constant(value):
            return False
        tensor = tensor_of(value)
        if self._external_stays and isinstance(tensor, ir.ExternalTensor) and tensor.nbytes > MAX_READ_BYTES:
            return False
        return tensor.dtype in PLAIN_DTYPES


def _external_bytes(model: ir.Model) -> int:
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, ir.ExternalTensor))


def _bytes(results: dict[str, Array]) -> int:
    return sum(array.nbytes for array in results.values())


def _replace(node: ir.Node, results: dict[str, Array]) -> None:
    """Put initializers into the node's own graph, under the names of its outputs."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    for value in node.outputs:
        if value.name in results:
            tensor = ir.Tensor(np.asarray(results[value.name]), name=value.name)
            constant = ir.Value(
                name=value.name,
                type=ir.TensorType(tensor.dtype),
                shape=ir.Shape(tensor.shape.numpy()),
                const_value=tensor,
            )
            value.replace_all_uses_with(constant)
            graph.register_initializer(constant)
    graph.remove(node, safe=True)
