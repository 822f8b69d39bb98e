"""What a file need not say: a small network has more bytes of it than of some weights.

- attributes with the value that their operator takes without them: exporters write all there are;
- names of nodes that only make weights of constants: normalising gives new ones.
"""

import onnx
from onnx import defs, helper

from worker.compression.graph.walk import messages


def make_terse(model: onnx.ModelProto) -> None:
    """In place; what the main graph and its subgraphs compute stays the same."""
    version = next((entry.version for entry in model.opset_import if entry.domain == ""), 1)
    for node in messages(model.graph, onnx.NodeProto):
        if node.domain == "":
            _drop_defaults(node, version)
    constant = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.input and constant.issuperset(node.input):
            node.ClearField("name")
            constant.update(node.output)


def _drop_defaults(node: onnx.NodeProto, version: int) -> None:
    try:
        known = defs.get_schema(node.op_type, version, "").attributes
    except defs.SchemaError:
        return  # a function of the model's own
    kept = [entry for entry in node.attribute if not _is_default(entry, known.get(entry.name))]
    del node.attribute[:]
    node.attribute.extend(kept)


def _is_default(entry: onnx.AttributeProto, known: "defs.OpSchema.Attribute | None") -> bool:
    if known is None or entry.ref_attr_name or known.default_value.type != entry.type:
        return False
    return bool(helper.get_attribute_value(entry) == helper.get_attribute_value(known.default_value))
