"""Shape inference by onnx, its answers put into the graph.

onnx-ir's own pass builds a second graph of the answer, and takes time quadratic in the number of initializers; it also
takes the elements' dtype of a sequence for the dtype of a tensor.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import onnx
import onnx_ir as ir

from worker.compression.graph.shapes.stand_ins import put_stand_ins

log = logging.getLogger(__name__)

SHOWN_BYTES: Final = 1000
"""Of a constant that onnx sees the numbers of: shapes and axes, not weights."""


def infer_by_onnx(model: ir.Model, *, data_prop: bool = True) -> None:
    """Set the shapes and dtypes that onnx tells, in place; the model is left as it is where onnx fails."""
    try:
        proto = shown(model)
        put_stand_ins(proto.graph)
        answer = onnx.shape_inference.infer_shapes(
            proto, check_type=False, strict_mode=False, data_prop=data_prop
        )
    except Exception:
        log.warning("onnx could not infer shapes; the model is left as it is", exc_info=True)
        return
    _take(model.graph, answer.graph)


def shown(model: ir.Model) -> onnx.ModelProto:
    """The model as onnx's C++ is given it: initializers are inputs too, and large ones nothing else."""
    with _weights_as_inputs(model.graph):
        return ir.to_proto(model)


@contextmanager
def _weights_as_inputs(graph: ir.Graph) -> Iterator[None]:
    inputs, initializers = list(graph.inputs), dict(graph.initializers)
    known = {value.name for value in inputs}
    graph.inputs.extend(value for name, value in initializers.items() if name not in known)
    for name, value in initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes > SHOWN_BYTES:
            graph.initializers.pop(name)
    try:
        yield
    finally:
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        graph.initializers.clear()
        graph.initializers.update(initializers)


def _take(graph: ir.Graph, answer: onnx.GraphProto) -> None:
    """What is told of the values of a graph and of those inside it. Both have the same nodes in the same order."""
    infos = (*answer.value_info, *answer.input, *answer.output)
    told = {info.name: info.type for info in infos if info.HasField("type")}
    for value in (*graph.inputs, *graph.initializers.values(), *graph.outputs):
        _set(value, told)
    for node, answered in zip(graph, answer.node, strict=True):
        for value in node.outputs:
            _set(value, told)
        if any(attribute.type in _GRAPHS for attribute in node.attributes.values()):
            for inside, one in zip(_graphs(node), _graph_protos(node, answered), strict=True):
                _take(inside, one)


def _set(value: ir.Value, told: Mapping[str, onnx.TypeProto]) -> None:
    answer = told.get(value.name or "")
    if answer is None or not answer.HasField("tensor_type"):
        _set_container(value, answer)
        return
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return
    tensor = answer.tensor_type
    if tensor.elem_type and value.dtype != tensor.elem_type:
        value.dtype = ir.DataType(tensor.elem_type)
    if tensor.HasField("shape") and (shape := _shape(tensor.shape)) != value.shape:
        value.shape = shape


def _set_container(value: ir.Value, answer: onnx.TypeProto | None) -> None:
    """A sequence or an optional that nothing was known of; without it a reader would take it for a tensor."""
    if value.type is None and answer is not None and answer.WhichOneof("value") in _CONTAINERS:
        value.type = ir.serde.deserialize_type_proto_for_type(answer)


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


_GRAPHS: Final = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _graphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The graphs inside a node, in the order of its attributes' names."""
    for _, attribute in sorted(node.attributes.items()):
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def _graph_protos(node: ir.Node, answered: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in sorted(answered.attribute, key=lambda attribute: attribute.name):
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs
