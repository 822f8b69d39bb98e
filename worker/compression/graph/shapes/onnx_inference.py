"""Infer shapes by onnx, and put them into the graph.

onnx-ir's own pass builds a second graph of the result, and takes time quadratic in the number of initializers; it also
takes the elements' dtype of a sequence for the dtype of a tensor.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import onnx
import onnx_ir as ir

from worker.compression.ir.values import has_subgraph

log = logging.getLogger(__name__)

MAX_SHOWN_BYTES: Final = 1000
"""Bytes of a constant up to which onnx sees its numbers: shapes and axes, not weights."""


def infer_by_onnx(model: ir.Model, *, data_prop: bool = True) -> None:
    """Set the shapes and dtypes that onnx infers, in place; the model is left as it is where onnx fails."""
    try:
        proto = proto_for_onnx(model)
        put_stand_ins(proto.graph)
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=False, strict_mode=False, data_prop=data_prop
        )
    except Exception:
        log.warning("onnx could not infer shapes; the model is left as it is", exc_info=True)
        return
    _take_types(model.graph, inferred.graph)


def proto_for_onnx(model: ir.Model) -> onnx.ModelProto:
    """Make the model that onnx's C++ gets: initializers are inputs too, and large ones nothing else."""
    with _weights_as_inputs(model.graph):
        return ir.to_proto(model)


@contextmanager
def _weights_as_inputs(graph: ir.Graph) -> Iterator[None]:
    inputs, initializers = list(graph.inputs), dict(graph.initializers)
    known = {value.name for value in inputs}
    graph.inputs.extend(value for name, value in initializers.items() if name not in known)
    for name, value in initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes > MAX_SHOWN_BYTES:
            graph.initializers.pop(name)
    try:
        yield
    finally:
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        graph.initializers.clear()
        graph.initializers.update(initializers)


def _take_types(graph: ir.Graph, inferred: onnx.GraphProto) -> None:
    """Take over the types of a graph's values and of those inside it. Both have the same nodes in order."""
    infos = (*inferred.value_info, *inferred.input, *inferred.output)
    types = {info.name: info.type for info in infos if info.HasField("type")}
    for value in (*graph.inputs, *graph.initializers.values(), *graph.outputs):
        _set(value, types)
    for node, inferred_node in zip(graph, inferred.node, strict=True):
        for value in node.outputs:
            _set(value, types)
        if has_subgraph(node):
            for inside, inner_proto in zip(_graphs(node), _graph_protos(node, inferred_node), strict=True):
                _take_types(inside, inner_proto)


def _set(value: ir.Value, types: Mapping[str, onnx.TypeProto]) -> None:
    inferred = types.get(value.name or "")
    if inferred is None or not inferred.HasField("tensor_type"):
        _set_container(value, inferred)
        return
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return
    tensor = inferred.tensor_type
    if tensor.elem_type and value.dtype != tensor.elem_type:
        value.dtype = ir.DataType(tensor.elem_type)
    if tensor.HasField("shape") and (shape := _shape(tensor.shape)) != value.shape:
        value.shape = shape


def _set_container(value: ir.Value, inferred: onnx.TypeProto | None) -> None:
    """Set the type of a sequence or optional of unknown type; without it a reader would take it for a tensor."""
    if value.type is None and inferred is not None and inferred.WhichOneof("value") in _CONTAINERS:
        value.type = ir.serde.deserialize_type_proto_for_type(inferred)


_CONTAINERS: Final = ("sequence_type", "optional_type")


def _shape(proto: onnx.TensorShapeProto) -> ir.Shape:
    return ir.Shape([_dim(dim) for dim in proto.dim])


def _dim(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    match dim.WhichOneof("value"):
        case "dim_value":
            return int(dim.dim_value)
        case "dim_param":
            return str(dim.dim_param) or None
        case _:
            return None


def _graphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The graphs inside a node, in the order of its attributes' names."""
    for _, attribute in sorted(node.attributes.items()):
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def _graph_protos(node: ir.Node, inferred_node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in sorted(inferred_node.attribute, key=lambda attribute: attribute.name):
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


STANDARD_FORMS: Final = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
"""Their first inputs and attributes are those of the standard operator."""
AS_THEIR_INPUT: Final = frozenset({"Gelu", "BiasGelu", "FastGelu", "QuickGelu"})
"""What they answer is of their first input's shape and type."""
MICROSOFT_MATMULS: Final = frozenset({"DynamicQuantizeMatMul", "FusedMatMul"})
TRANSPOSED: Final = ("transA", "transB", "transBatchA", "transBatchB")


def put_stand_ins(graph: onnx.GraphProto, added: list[onnx.ValueInfoProto] | None = None) -> None:
    """Replace, in place, ONNX Runtime's own operators by ones that onnx knows and whose results have the same shape and
    type: it leaves all behind another domain without a shape. Nodes keep their order, outputs and names."""
    inputs: list[onnx.ValueInfoProto] = [] if added is None else added
    for node in graph.node:
        if node.domain == "com.microsoft":
            _replace(node, inputs)
        for attribute in node.attribute:
            for inside in (attribute.g, *attribute.graphs):
                put_stand_ins(inside, inputs)
    if added is None:
        graph.input.extend(inputs)


def _replace(node: onnx.NodeProto, added: list[onnx.ValueInfoProto]) -> None:
    numbers = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "MatMulNBits":
        weight = f"stand-in {len(added)} of {node.output[0]}"
        shape = [numbers["K"], numbers["N"]]
        added.append(onnx.helper.make_tensor_value_info(weight, onnx.TensorProto.FLOAT, shape))
        _become(node, "MatMul", [node.input[0], weight], [])
    elif node.op_type in MICROSOFT_MATMULS and not any(map(numbers.get, TRANSPOSED)):
        _become(node, "MatMul", list(node.input[:2]), [])
    elif node.op_type in AS_THEIR_INPUT:
        _become(node, "Identity", [node.input[0]], [])
    elif node.op_type in STANDARD_FORMS:
        attributes = [a for a in node.attribute if not a.name.startswith("activation")]
        _become(node, STANDARD_FORMS[node.op_type], list(node.input[:3]), attributes)


def _become(
    node: onnx.NodeProto, operator: str, inputs: list[str], attributes: list[onnx.AttributeProto]
) -> None:
    copies = [onnx.AttributeProto.FromString(attribute.SerializeToString()) for attribute in attributes]
    node.op_type, node.domain = operator, ""
    del node.input[:], node.attribute[:]
    node.input.extend(inputs)
    node.attribute.extend(copies)
