"""What a file need not say: a small network has more bytes of it than of weights.

Names of the upload stay: of its inputs, outputs, values, weights and nodes. What goes:

- attributes with the value that their operator takes without them: exporters write all there are;
- shapes of inner values that the upload did not say; runtimes infer them;
- scales of biases that are products of other scales: ONNX Runtime multiplies when it loads the model;
- zero points of weights and biases that are zero, where the integer kernels do without them;
- constants that are the same as another, where they are ours;
- our own names: of nodes altogether, of values all but a letter or two.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, product
from string import ascii_lowercase
from typing import Final

import onnx
from onnx import TensorProto, defs, helper, numpy_helper

from worker.compression.ir.default_opset import default_opset
from worker.compression.ir.protobuf_walk import messages
from worker.compression.weight_storage.bias_scales import derive_bias_scales

MAX_COMPARED_BYTES: Final = 4096
"""Constants up to this size are compared with each other; larger ones are weights."""


@dataclass(frozen=True)
class UploadNames:
    """The names in an uploaded file: of nodes, of values and constants, and of inner values whose shape it says."""

    nodes: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    shaped: frozenset[str] = frozenset()


NO_UPLOAD_NAMES: Final = UploadNames()
"""All names are ours."""


def names_in(model: onnx.ModelProto) -> UploadNames:
    graphs = _graphs(model)
    nodes = [node for graph in graphs for node in graph.node]
    shaped = {value.name for graph in graphs for value in graph.value_info}
    values = {name for node in nodes for name in (*node.input, *node.output)}
    constants = {tensor.name for graph in graphs for tensor in graph.initializer}
    return UploadNames(
        frozenset(node.name for node in nodes), frozenset(values | constants), frozenset(shaped)
    )


def make_compact(
    model: onnx.ModelProto, upload: UploadNames, elsewhere: Container[str] = ()
) -> Mapping[str, str]:
    """Make the file smaller in place; what the main graph and its subgraphs compute stays the same, to the bit. Names
    are unique.

    `elsewhere`: initializers whose bytes are not in the message. Returns the values that are renamed, old to new.
    """
    version = default_opset(model)
    for node in messages(model.graph, onnx.NodeProto):
        if node.domain == "":
            _drop_defaults(node, version)
        if node.name not in upload.nodes:
            node.ClearField("name")
    for graph in _graphs(model):
        uploaded = [value for value in graph.value_info if value.name in upload.shaped]
        del graph.value_info[:]
        graph.value_info.extend(uploaded)
    _leave_out_zero_points(model, _small(model, elsewhere))
    _derive_bias_scales(model, _small(model, elsewhere), upload)
    _share(model, _small(model, elsewhere), upload)
    return _shorten(model, upload)


def _graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    return [model.graph, *messages(model.graph, onnx.GraphProto)]


def _drop_defaults(node: onnx.NodeProto, version: int) -> None:
    try:
        known = defs.get_schema(node.op_type, version, "").attributes
    except defs.SchemaError:
        return  # a function of the model's own
    needed = [entry for entry in node.attribute if not _is_default(entry, known.get(entry.name))]
    del node.attribute[:]
    node.attribute.extend(needed)


def _is_default(entry: onnx.AttributeProto, known: "defs.OpSchema.Attribute | None") -> bool:
    if known is None or entry.ref_attr_name or known.default_value.type != entry.type:
        return False
    return bool(helper.get_attribute_value(entry) == helper.get_attribute_value(known.default_value))


def _small(model: onnx.ModelProto, elsewhere: Container[str]) -> dict[str, TensorProto]:
    inside = [tensor for tensor in model.graph.initializer if tensor.name not in elsewhere]
    return {tensor.name: tensor for tensor in inside if tensor.ByteSize() <= MAX_COMPARED_BYTES}


def _leave_out_zero_points(model: onnx.ModelProto, small: Mapping[str, TensorProto]) -> None:
    """Leave out zero points of constants; not those of a Gemm's weight: ONNX Runtime's integer Gemm, and what moves
    activations as integers, asks for zero points, but for none of a bias (int32)."""
    nodes = list(messages(model.graph, onnx.NodeProto))
    gemm_inputs = {name for node in nodes if node.op_type == "Gemm" for name in node.input}
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in nodes:
        if node.op_type == "DequantizeLinear" and node.domain == "" and len(node.input) == 3:
            zero_point = small.get(node.input[2])
            if zero_point is None or node.input[0] not in constants:
                continue
            needed = node.output[0] in gemm_inputs and zero_point.data_type != TensorProto.INT32
            if not needed and not numpy_helper.to_array(zero_point).any():
                del node.input[2:]
    _drop_unread(model, small)


def _derive_bias_scales(
    model: onnx.ModelProto, small: Mapping[str, TensorProto], upload: UploadNames
) -> None:
    taken = upload.values | {name for graph in _graphs(model) for name in _names(graph)}
    fresh = (f"bias_scale_{number}" for number in count())
    derive_bias_scales(
        model.graph, small, upload.values, lambda: next(name for name in fresh if name not in taken)
    )
    _drop_unread(model, small)


def _share(model: onnx.ModelProto, small: Mapping[str, TensorProto], upload: UploadNames) -> None:
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
    for name, tensor in sorted(small.items(), key=lambda item: item[0] not in upload.values):
        if name in fixed:
            continue
        bare = TensorProto()
        bare.CopyFrom(tensor)
        bare.ClearField("name")
        same_constant = first.setdefault(bare.SerializeToString(deterministic=True), name)
        if same_constant != name and name not in upload.values:
            same[name] = same_constant
    _rename_inputs(model, same)
    _drop_unread(model, same)


def _rename_inputs(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    for node in messages(model.graph, onnx.NodeProto):
        for index, name in enumerate(node.input):
            if name in names:
                node.input[index] = names[name]


def _drop_unread(model: onnx.ModelProto, among: Container[str]) -> None:
    """Drop those constants of the main graph that nothing reads any more; not those that are the default of an input,
    which without it has to be given."""
    read = {name for node in messages(model.graph, onnx.NodeProto) for name in node.input}
    read |= {value.name for graph in _graphs(model) for value in (*graph.input, *graph.output)}
    remaining = [t for t in model.graph.initializer if t.name in read or t.name not in among]
    del model.graph.initializer[:]
    model.graph.initializer.extend(remaining)


def _shorten(model: onnx.ModelProto, upload: UploadNames) -> dict[str, str]:
    """Give the shortest names to what is read most often."""
    graphs = _graphs(model)
    fixed = upload.values | {value.name for value in (*model.graph.input, *model.graph.output)}
    uses = Counter(name for graph in graphs for name in _names(graph))
    ours = [name for name, _ in uses.most_common() if name and name not in fixed]
    short = (name for name in _short_names() if name not in fixed)
    renamed = dict(zip(ours, short, strict=False))
    _rename_inputs(model, renamed)
    for graph in graphs:
        for node in graph.node:
            for index, name in enumerate(node.output):
                node.output[index] = renamed.get(name, name)
        for part in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
            part.name = renamed.get(part.name, part.name)
    return renamed


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield each name as often as the file says it."""
    for node in graph.node:
        yield from (*node.input, *node.output)
    yield from (part.name for part in (*graph.initializer, *graph.value_info, *graph.input, *graph.output))


def _short_names() -> Iterator[str]:
    """a, b, …, z, aa, ab, …"""
    for length in count(1):
        yield from map("".join, product(ascii_lowercase, repeat=length))
