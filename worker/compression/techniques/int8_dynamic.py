"""`int8_dynamic`: int8 weights; activations are quantized while the model runs, by their range at that moment.

For MatMul, Gemm and LSTM, by `onnxruntime.quantization`. Convolutions are left out: ConvInteger has no fast kernel
on the CPU and the range of a whole feature map has to be found on every run, so it is usually slower than float32.
Subgraphs (If, Loop) stay as they are.
"""

import logging
from pathlib import Path

import onnx
import onnx_ir as ir
from onnxruntime.quantization import QuantType, quantize_dynamic

from app.contract.errors import Refusal
from app.contract.recipe import Int8Dynamic
from worker.compression.graph.store import load, save
from worker.compression.techniques.account import Layer, changed, refuse_quantized
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.naming import excluded
from worker.compression.techniques.opsets import raised

log = logging.getLogger(__name__)

OPSET = 11
"""The first opset with DynamicQuantizeLinear."""
QUANTIZED = frozenset({"MatMul", "Gemm", "LSTM"})
MAX_DECODABLE_BYTES = 2**31


def int8_dynamic(model: ir.Model, step: Int8Dynamic, context: Context) -> Changed:
    """Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `step_failed`."""
    refuse_quantized(model)
    model, notes = raised(model, OPSET, "dynamic quantization")
    layers = [
        Layer(node, _objection(node, step.exclude))
        for node in model.graph
        if node.domain in ("", "ai.onnx") and node.op_type in QUANTIZED
    ]
    context.progress.advance(0.1)
    result = _quantized(model, [layer for layer in layers if layer.reason is None], context.scratch)
    context.progress.advance(0.9)
    return changed(result, layers, "MatMul, Gemm or LSTM with a float32 weight", notes)


def _objection(node: ir.Node, patterns: list[str]) -> str | None:
    if excluded(node, patterns):
        return "excluded by pattern"
    weights = [node.inputs[1]] if node.op_type != "LSTM" else [*node.inputs[1:3]]
    if any(w is None or w.const_value is None or w.const_value.dtype != ir.DataType.FLOAT for w in weights):
        return "its weight is no float32 initializer"
    if node.op_type == "MatMul" and len(weights[0].const_value.shape) != 2:  # type: ignore[union-attr]
        return "its weight is not a matrix"
    if node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int():
        return "its input is transposed"
    return None


def _quantized(model: ir.Model, chosen: list[Layer], scratch: Path) -> ir.Model:
    """ONNX Runtime works from file to file; it is given the nodes by name."""
    if not chosen:
        return model
    source, target = scratch / "float.onnx", scratch / "dynamic.onnx"
    save(model, source)
    try:
        quantize_dynamic(
            source,
            target,
            nodes_to_quantize=[str(layer.node.name) for layer in chosen],
            op_types_to_quantize=sorted(QUANTIZED),
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=source.stat().st_size >= MAX_DECODABLE_BYTES,
            extra_options={"MatMulConstBOnly": True},
        )
    except (ValueError, RuntimeError, KeyError, AttributeError, onnx.checker.ValidationError) as error:
        raise Refusal("step_failed", f"ONNX Runtime could not quantize the model dynamically: {error}") from error
    return load(target)
