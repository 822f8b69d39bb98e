"""Replace calls of a model's own functions by their bodies, by onnx's inliner.

onnx-ir's pass looks for a free name from 2 on for each value: quadratic in the calls of a function.
"""

import onnx
from onnx import inliner

from worker.compression.ir.known_operators import domain_of
from worker.compression.ir.protobuf_walk import messages


def inline(proto: onnx.ModelProto) -> None:
    """Inline all functions in place. One that is written for another opset than the model stays, with its calls.

    Raises `ValueError` for a call that does not fit its function.
    """
    if not proto.functions:
        return
    _give_defaults(proto)
    try:
        inlined = inliner.inline_local_functions(_without_weights(proto))
    except RuntimeError as error:
        raise ValueError(f"A function of the model cannot be inlined: {error}") from error
    for field in ("node", "value_info"):
        proto.graph.ClearField(field)
        getattr(proto.graph, field).extend(getattr(inlined.graph, field))
    for field in ("functions", "opset_import"):
        proto.ClearField(field)
        getattr(proto, field).extend(getattr(inlined, field))


def _without_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Copy the model with the names of its initializers alone: a new name must be none of theirs."""
    names = (
        *(t.name for t in proto.graph.initializer),
        *(t.values.name for t in proto.graph.sparse_initializer),
    )
    graph = onnx.GraphProto(
        name=proto.graph.name,
        node=proto.graph.node,
        input=proto.graph.input,
        output=proto.graph.output,
        value_info=proto.graph.value_info,
        initializer=[onnx.TensorProto(name=name) for name in names],
    )
    return onnx.ModelProto(
        ir_version=proto.ir_version,
        opset_import=proto.opset_import,
        functions=proto.functions,
        graph=graph,
    )


def _give_defaults(proto: onnx.ModelProto) -> None:
    """onnx's inliner forgets the default of an attribute that a call leaves out."""
    defaults = {(domain_of(f), f.name, f.overload): f.attribute_proto for f in proto.functions}
    for node in messages(proto, onnx.NodeProto):
        if known := defaults.get((domain_of(node), node.op_type, node.overload)):
            taken_names = {attribute.name for attribute in node.attribute}
            node.attribute.extend(default for default in known if default.name not in taken_names)
