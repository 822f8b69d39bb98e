"""Remove what exporters leave behind and no one computes with: doc strings, stack traces, source paths, and the
initializers among the inputs. Those a runtime takes for variables: it folds no batch normalisation and packs no weight
(ultraface-rfb-320, opset 9: 6.5 ms, without them 2.0).

Everything called `doc_string` or `metadata_props` goes, in subgraphs, functions, values, attributes and tensors. The
model's own top-level `metadata_props` (class names, strides) and `doc_string`, and that of its graph, stay, unless they
are an exporter's debug records.
"""

import re
from collections.abc import Iterator

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.graph.opset.ir_version import INITIALIZERS_ALONE

DEBUG_KEY = re.compile(r"^pkg\.|stack_?trace|source_?(path|file)", re.IGNORECASE)
DEBUG_VALUE = re.compile(r'File "[^"]+", line \d+|(^|[\s"\'=])(/|[A-Za-z]:\\)[^\s"\']+\.(py|ipynb|cpp|cu)\b')


def tidy(model: ir.Model) -> int:
    """Remove all that in place. Returns the bytes that this alone saves in the file."""
    tensors = list(_tensors(model))
    for tensor in tensors:
        tensor.metadata_props.clear()  # onnx-ir writes those of a protobuf tensor twice; the protobuf has its own
    before = _bytes(model)
    _clear_tensors(model)
    for part in _parts(model):
        part.doc_string = None if part is not model.graph else _own(part.doc_string)
        part.metadata_props.clear()
    for attribute in _attributes(model):
        attribute.doc_string = None
    model.doc_string = _own(model.doc_string)
    for key in [
        key
        for key, value in model.metadata_props.items()
        if bool(DEBUG_KEY.search(key) or DEBUG_VALUE.search(value))
    ]:
        del model.metadata_props[key]
    if passes.RemoveInitializersFromInputsPass()(model).modified:
        model.ir_version = max(model.ir_version, INITIALIZERS_ALONE)
    return before - _bytes(model)


def _bytes(model: ir.Model) -> int:
    return int(ir.to_proto(model).ByteSize())


def _own(text: str | None) -> str | None:
    """What the model's author wrote, not a program."""
    return None if text and DEBUG_VALUE.search(text) else text


def _graphs(model: ir.Model) -> Iterator[ir.Graph | ir.Function]:
    yield from model.graphs()
    for function in model.functions.values():
        yield function
        yield from function.subgraphs()


def _parts(model: ir.Model) -> Iterator[ir.Graph | ir.Function | ir.Node | ir.Value]:
    for graph in _graphs(model):
        yield graph
        yield from graph.inputs
        if isinstance(graph, ir.Graph):
            yield from graph.initializers.values()
        for node in graph:
            yield node
            yield from node.outputs


def _attributes(model: ir.Model) -> Iterator[ir.Attr]:
    for graph in _graphs(model):
        if isinstance(graph, ir.Function):
            yield from graph.attributes.values()
        for node in graph:
            yield from node.attributes.values()


def _tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for graph in model.graphs():
        yield from (v.const_value for v in graph.initializers.values() if v.const_value is not None)
    for attribute in _attributes(model):
        match attribute.type:
            case ir.AttributeType.TENSOR if not attribute.is_ref():
                yield attribute.as_tensor()
            case ir.AttributeType.TENSORS if not attribute.is_ref():
                yield from attribute.as_tensors()


def _clear_tensors(model: ir.Model) -> None:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = _bare(value.const_value)
    for graph_or_function in _graphs(model):
        for node in graph_or_function:
            for name, attribute in list(node.attributes.items()):
                if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                    node.attributes[name] = ir.AttrTensor(name, _bare(attribute.as_tensor()))
                elif attribute.type == ir.AttributeType.TENSORS and not attribute.is_ref():
                    node.attributes[name] = ir.AttrTensors(name, [_bare(t) for t in attribute.as_tensors()])


def _bare(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """The tensor without records; a new one only where it wraps a protobuf that has some."""
    if not isinstance(tensor, ir.serde.TensorProtoTensor):
        tensor.doc_string = None
        return tensor
    if not (tensor.raw.doc_string or tensor.raw.metadata_props):
        return tensor
    proto = onnx.TensorProto()
    proto.CopyFrom(tensor.raw)
    proto.ClearField("doc_string")
    proto.ClearField("metadata_props")
    return ir.serde.TensorProtoTensor(proto)
