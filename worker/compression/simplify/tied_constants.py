"""Store equal constants once: weights that an exporter wrote several times, tables of both branches of an If.

Equal is what has the same type, shape and bits. Floats that are all the same number stay apart, unless there is only
one of them: gains of 1 and biases of 0 are equal by chance, and a training would then learn a single one.
"""

import hashlib
from collections.abc import Hashable, Iterator
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.values import array_of, graph_of, is_constant, tensor_of

NOT_COMPARED: Final = frozenset({ir.DataType.STRING})


def tie_constants(model: ir.Model) -> int:
    """Let all readers of equal constants read a single one, in place. Returns how many went.

    It lies in the graph of all, or in the main one. Large constants are read one after the other.
    """
    first: dict[Hashable, ir.Value] = {}
    gone = 0
    for value in _candidates(model):
        same = first.setdefault(_content(value), value)
        if same is value or not value.uses():
            continue
        if same.graph is not value.graph:
            _move(same, model.graph)
        value.replace_all_uses_with(same)
        del graph_of(value).initializers[str(value.name)]
        gone += 1
    return gone


def _candidates(model: ir.Model) -> Iterator[ir.Value]:
    """The constants of which another has the type and shape, those of the main graph first."""
    by_kind: dict[Hashable, list[ir.Value]] = {}
    for graph in model.graphs():
        for value in graph.initializers.values():
            if is_constant(value) and not value.is_graph_output() and value.dtype not in NOT_COMPARED:
                by_kind.setdefault(_kind(value), []).append(value)
    for values in by_kind.values():
        yield from values if len(values) > 1 else []


def _kind(value: ir.Value) -> Hashable:
    tensor = tensor_of(value)
    return tensor.dtype, tuple(int(dim) for dim in tensor.shape.numpy())


def _content(value: ir.Value) -> Hashable:
    """What is the same for equal constants alone."""
    array = np.ascontiguousarray(array_of(value))
    numbers = array.reshape(-1).view(np.uint8)
    digest = hashlib.sha256(numbers.data).digest()
    is_uniform = (
        array.size > 1 and array.dtype.kind not in "iub" and bool((array == array.reshape(-1)[0]).all())
    )
    release(value)
    return (_kind(value), digest, str(value.name) if is_uniform else None)


def _move(value: ir.Value, main: ir.Graph) -> None:
    """Names are unique over all graphs (`NameOnce`)."""
    graph = graph_of(value)
    if graph is not main:
        del graph.initializers[str(value.name)]
        main.register_initializer(value)
