"""Take one graph of a package out of the one that all of them were: what its outputs need, under its own names."""

from collections.abc import Iterable, Iterator

import onnx

from worker.compression.ir.protobuf_walk import messages
from worker.compression.onnx_files.model_files import PREFIX as OURS
from worker.compression.packages.layout import PackagedFile
from worker.compression.packages.prefix import rename_values, without_prefix


def split(whole: onnx.ModelProto, graph: PackagedFile) -> onnx.ModelProto:
    """The graph as a model of its own, without our metadata; inputs and outputs are called as in its file."""
    part = onnx.ModelProto()
    part.ir_version, part.producer_name = whole.ir_version, whole.producer_name
    part.opset_import.extend(whole.opset_import)
    part.graph.name = graph.name
    _fill(part.graph, whole.graph, graph)
    rename_values(part.graph, _own_names(part.graph, graph).__getitem__)
    for node in messages(part.graph, onnx.NodeProto):
        node.name = node.name.removeprefix(graph.prefix)
    for dim in messages(part.graph, onnx.TensorShapeProto.Dimension):
        if dim.dim_param:
            dim.dim_param = without_prefix(dim.dim_param, graph.prefix)
    for entry in whole.metadata_props:
        key = entry.key.removeprefix(graph.prefix)
        if key != entry.key and not key.startswith(OURS):
            part.metadata_props.add(key=key, value=entry.value)
    return part


def _fill(part: onnx.GraphProto, whole: onnx.GraphProto, graph: PackagedFile) -> None:
    """Add what the graph's outputs are computed from. Inputs that nothing reads stay: who runs it gives them."""
    part.input.extend(value for value in whole.input if value.name.startswith(graph.prefix))
    part.output.extend(value for value in whole.output if value.name.startswith(graph.prefix))
    makers = {name: number for number, node in enumerate(whole.node) for name in node.output if name}
    needed: set[int] = set()
    read: set[str] = set()
    waiting = [value.name for value in part.output]
    while waiting:
        name = waiting.pop()
        if name in read:
            continue
        read.add(name)
        if (number := makers.get(name)) is not None and number not in needed:
            needed.add(number)
            waiting += _reads(whole.node[number])
    made = {name for number in needed for name in whole.node[number].output}
    part.node.extend(whole.node[number] for number in sorted(needed))
    part.initializer.extend(tensor for tensor in whole.initializer if tensor.name in read)
    part.sparse_initializer.extend(t for t in whole.sparse_initializer if t.values.name in read)
    part.value_info.extend(value for value in whole.value_info if value.name in made)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, its bodies' among them: of the outer graph, since names stand once."""
    yield from filter(None, node.input)
    for inner in messages(node, onnx.GraphProto):
        yield from (value.name for value in inner.output)
        for inside in inner.node:
            yield from filter(None, inside.input)


def _own_names(part: onnx.GraphProto, graph: PackagedFile) -> dict[str, str]:
    """Old names to new: without the prefix, those of the signature first. What only another graph had a name for keeps
    that one, or gets a number where the name stands already."""
    signature = [value.name for value in (*part.input, *part.output)]
    names = dict.fromkeys([*signature, *_names(part)])
    own = [name for name in names if name.startswith(graph.prefix)]
    renamed = {name: name.removeprefix(graph.prefix) for name in own}
    taken = set(renamed.values())
    for name in names:
        if name not in renamed:
            renamed[name] = _fresh(name.partition(":")[2] or name, taken)
            taken.add(renamed[name])
    return renamed


def _fresh(name: str, taken: Iterable[str]) -> str:
    number, fresh = 1, name
    while fresh in taken:
        number, fresh = number + 1, f"{name}_{number}"
    return fresh


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    for inner in (graph, *messages(graph, onnx.GraphProto)):
        for part in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            yield part.name
        for sparse in inner.sparse_initializer:
            yield sparse.values.name
        for annotation in inner.quantization_annotation:
            yield annotation.tensor_name
        for node in inner.node:
            yield from filter(None, (*node.input, *node.output))
