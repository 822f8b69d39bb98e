"""What is done to many constants done by one node: each node that ONNX Runtime folds at load costs it 40 µs.

    Cast(a), Cast(b), …                 ─►   Split(Cast(a | b | …))                       uint8 [1, n] to int32
    Concat(Cast(a), Cast(a)), …         ─►   Split(Concat(c, c)), c = Cast(a | b | …)

`split_up` is the way back.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SPLIT_BY_INPUT: Final = 13
"""The opset from which a Split has its sizes as an input."""

Constants = dict[str, TensorProto]


def join(graph: onnx.GraphProto, opset: int, prefix: str) -> None:
    """Join, in place, the Casts and Concats whose output's name begins with `prefix`; nothing else reads their
    constants."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ours = [node for node in graph.node if node.output and node.output[0].startswith(prefix)]
    casts = {node.output[0]: node for node in ours if _casts_codes(node, constants)}
    doubled = {node.input[0]: node for node in ours if node.op_type == "Concat" and node.input[0] in casts}
    single = [[node] for name, node in casts.items() if name not in doubled]
    for mark, chains in (("a", single), ("b", [[casts[name], node] for name, node in doubled.items()])):
        if len(chains) > 1:
            _join(graph, constants, chains, opset, f"{prefix}{mark}")


def _join(
    graph: onnx.GraphProto, constants: Constants, chains: list[list[onnx.NodeProto]], opset: int, prefix: str
) -> None:
    """Chains of a Cast and perhaps a Concat of what it answers with itself."""
    arrays = [numpy_helper.to_array(constants[chain[0].input[0]]) for chain in chains]
    sizes = np.array([array.shape[1] for array in arrays])
    gone = {name for chain in chains for node in chain for name in (node.input[0], node.output[0])}
    left = [tensor for tensor in graph.initializer if tensor.name not in gone]
    kept = [node for node in graph.node if node.output[0] not in gone]
    joined = [onnx.NodeProto() for _ in chains[0]]
    source = f"{prefix}all"
    for number, (node, one) in enumerate(zip(joined, chains[0], strict=True)):
        node.CopyFrom(one)
        node.input[:] = [source] * len(one.input)
        source = node.output[0] = f"{prefix}{number}"
    outputs = [chain[-1].output[0] for chain in chains]
    if opset >= SPLIT_BY_INPUT:
        left.append(numpy_helper.from_array(sizes, f"{prefix}sizes"))
        joined.append(helper.make_node("Split", [source, f"{prefix}sizes"], outputs, axis=1))
    else:
        joined.append(helper.make_node("Split", [source], outputs, axis=1, split=sizes.tolist()))
    left.append(numpy_helper.from_array(np.concatenate(arrays, axis=1), f"{prefix}all"))
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*joined, *kept])
    graph.initializer.extend(left)


def split_up(graph: onnx.GraphProto) -> None:
    """Give each output of such a Split, in place, a constant and nodes of its own again. What was before it stays."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node if len(node.output) == 1}
    taken = {name for node in graph.node for name in (*node.input, *node.output)} | constants.keys()
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        chain = _chain(node, makers, constants)
        array = numpy_helper.to_array(constants[chain[0].input[0]]) if chain else np.zeros((1, 0), np.uint8)
        sizes = _sizes(node, constants) if chain else None
        if sizes is None or sum(sizes) != array.shape[1] or len(sizes) != len(node.output):
            nodes.append(node)
            continue
        for output, part in zip(node.output, np.split(array, np.cumsum(sizes)[:-1], axis=1), strict=True):
            source = _fresh(f"{output}_codes", taken)
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(part), source))
            for one in chain:
                again = onnx.NodeProto()
                again.CopyFrom(one)
                again.input[:] = [source] * len(one.input)
                source = again.output[0] = output if one is chain[-1] else _fresh(f"{output}_cast", taken)
                nodes.append(again)
    del graph.node[:]
    graph.node.extend(nodes)


def _chain(
    node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], constants: Constants
) -> list[onnx.NodeProto]:
    """The Cast, and the Concat of it with itself where there is one, that a Split reads; empty for others."""
    before = makers.get(node.input[0]) if node.op_type == "Split" and node.domain == "" else None
    if before is None or _casts_codes(before, constants):
        return [before] if before is not None else []
    alike = before.op_type == "Concat" and before.domain == "" and len(set(before.input)) == 1
    cast = makers.get(before.input[0]) if alike and _axis(before) == 0 else None
    return [cast, before] if cast is not None and _casts_codes(cast, constants) else []


def _casts_codes(node: onnx.NodeProto, constants: Constants) -> bool:
    tensor = constants.get(node.input[0]) if node.op_type == "Cast" and node.domain == "" else None
    if (
        tensor is None
        or tensor.data_type != TensorProto.UINT8
        or len(tensor.dims) != 2
        or tensor.dims[0] != 1
    ):
        return False
    return any(entry.name == "to" and entry.i == TensorProto.INT32 for entry in node.attribute)


def _sizes(split: onnx.NodeProto, constants: Constants) -> Sequence[int] | None:
    """Of the parts along axis 1; None where they are not constant, or the axis is another."""
    if _axis(split) != 1:
        return None
    if len(split.input) == 2 and split.input[1] in constants:
        array = numpy_helper.to_array(constants[split.input[1]])
        return [int(size) for size in array] if array.ndim == 1 and (array >= 0).all() else None
    return next((list(entry.ints) for entry in split.attribute if entry.name == "split"), None)


def _axis(node: onnx.NodeProto) -> int | None:
    return next((entry.i for entry in node.attribute if entry.name == "axis"), None)


def _fresh(wish: str, taken: set[str]) -> str:
    while wish in taken:
        wish += "_"
    taken.add(wish)
    return wish
