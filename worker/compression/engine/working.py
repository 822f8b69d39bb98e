"""Make a module of a graph, and write trained weights back into that graph.

The engine may need operators at a newer version than the model has. Then it works on a raised copy; names survive, so
the weights go back into the graph as it was, whose opset never changes for training.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir
import torch
from onnx import checker, version_converter

from winnow.contract.errors import Refusal
from worker.compression.engine.coverage import function_of, operator_of
from worker.compression.engine.module import GraphModule
from worker.compression.engine.quantized import integers, is_bias, reader_of
from worker.compression.engine.tensors import to_torch
from worker.compression.graph.opset.conversion import opset_of, raise_for
from worker.compression.ir.affine import scales_for_bias
from worker.compression.ir.edit import new_constant
from worker.compression.ir.values import required_input, tensor_of


def as_module(model: ir.Model, wanted: Iterable[str] | None = None) -> GraphModule:
    """Make a module of the graph, raised for working. Raises `Refusal` `unsupported_operator`."""
    return GraphModule(_raised(model), wanted)


def check_runs(model: ir.Model) -> None:
    """Raise `Refusal` `unsupported_operator` for the first node that the engine cannot run."""
    raised = _raised(model)
    for node in raised.graph:
        function_of(node, opset_of(raised) if not node.domain else raised.opset_imports.get(node.domain, 1))


def _raised(model: ir.Model) -> ir.Model:
    try:
        return raise_for(model, lambda node: operator_of(node).since)
    except (version_converter.ConvertError, RuntimeError, ValueError, checker.ValidationError) as error:
        raise Refusal(
            "unsupported_operator",
            f"The model's opset {opset_of(model)} is too old to be trained, and raising it failed: {error}. Export it "
            "with a later opset.",
        ) from error


@torch.no_grad()
def write_back(
    module: GraphModule, model: ir.Model, biases: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Put the module's parameters and running statistics into the graph's initializers, by name.

    `biases` are new ones of convolutions that had none, by the node's name. Integer weights and signs are rounded anew.
    """
    trained = dict((*module.named_parameters(), *module.named_buffers()))
    initializers = model.graph.initializers
    readers = {name: reader_of(initializers[name]) for name in trained if name in initializers}
    for name, reader in readers.items():
        if reader is None:
            _store(initializers[name], trained[name])
    for node in model.graph:
        _leave_room(node, trained)
    for name, reader in readers.items():
        if reader is not None:
            _store_integers(initializers[name], reader, trained[name])
    nodes = {str(node.name): node for node in model.graph}
    for name, bias in (biases or {}).items():
        _add_bias(model.graph, nodes[name], bias)


def _store(value: ir.Value, tensor: torch.Tensor) -> None:
    before = tensor_of(value)
    array = tensor.detach().double().cpu().numpy().reshape(before.shape.numpy())
    value.const_value = ir.tensor(array.astype(before.dtype.numpy()), dtype=before.dtype, name=value.name)


def _store_integers(value: ir.Value, reader: ir.Node, latent: torch.Tensor) -> None:
    """Store integers, with the scale as it was just stored; a bias first gets the one that follows from its layer's."""
    if is_bias(value) and (product := _scale_of_layer(reader)) is not None:
        scale = required_input(reader, 1)
        _store(scale, product)
    _store(value, integers(latent.detach().cpu(), value, reader))


def _leave_room(node: ir.Node, trained: Mapping[str, torch.Tensor]) -> None:
    """Raise the weight's scale where the layer's bias, in int32, would have outgrown it: see `scales_for_bias`. A bias
    in float becomes int32 too, when ONNX Runtime loads the model."""
    value = node.inputs[2] if node.op_type in ("Conv", "Gemm") and len(node.inputs) > 2 else None
    reader = None if value is None else value.producer()
    source = value if reader is None or reader.op_type != "DequantizeLinear" else reader.inputs[0]
    bias = None if source is None else trained.get(str(source.name))
    if bias is None:
        return
    data, weight = _scale_read(node.inputs[0]), _scale_read(node.inputs[1])
    if data is None or weight is None:
        return
    activation, scales = (to_torch(scale.const_value).numpy() for scale in (data, weight))  # type: ignore[arg-type]
    if activation.size == 1:
        array = bias.detach().cpu().numpy().reshape(-1)
        least = np.abs(array).max(keepdims=True) if scales.size == 1 else array
        _store(weight, torch.from_numpy(scales_for_bias(scales.reshape(-1), least, activation)))


def _scale_read(value: ir.Value | None) -> ir.Value | None:
    """Find the constant scale of the DequantizeLinear that gives the value."""
    producer = None if value is None else value.producer()
    scale = producer.inputs[1] if producer is not None and producer.op_type == "DequantizeLinear" else None
    return None if scale is None or scale.const_value is None else scale


def _scale_of_layer(reader: ir.Node) -> torch.Tensor | None:
    """Multiply the scales of data and weight; None where one of them is not quantized, or several layers share it."""
    uses = list(reader.outputs[0].uses())
    if len(uses) != 1 or uses[0].idx != 2:
        return None
    data, weight = map(_scale_read, uses[0].node.inputs[:2])
    if data is None or weight is None:
        return None
    return to_torch(data.const_value) * to_torch(weight.const_value)  # type: ignore[arg-type]


def _add_bias(graph: ir.Graph, node: ir.Node, bias: torch.Tensor) -> None:
    value = new_constant(graph, f"{node.name}_bias_folded", bias.float().cpu().numpy().astype(np.float32))
    node.resize_inputs(3)
    node.replace_input_with(2, value)
