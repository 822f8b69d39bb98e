"""`int8_dynamic`: int8 weights; activations are quantized while the model runs, by their range at that moment.

    MatMul, Gemm   x, s_x, z_x = DynamicQuantizeLinear(X);  Y = s_x s_w · MatMulInteger(x, w, z_x) (+ bias)
    LSTM           com.microsoft DynamicQuantizeLSTM, which does the same inside
    Gather         rows of an int8 table, as floats (`tables`)

in the form that ONNX Runtime fuses into one kernel. Weights are int8 per output channel, in the range that the CPU
multiplies exactly (`kernels`). Convolutions are left out:
ConvInteger has no fast kernel on the CPU, and the range of a whole feature map has to be found on every run, so it is
usually slower than float32. Subgraphs (If, Loop) stay as they are. Outliers behind layer normalisations can go into
the weights beforehand (`layerwise.smoothing`).
"""

import onnx_ir as ir
from onnx_ir.passes import common as passes

from app.contract.errors import Refusal
from app.contract.recipe import Int8Dynamic
from worker.compression.graph.naming import Names, excluded
from worker.compression.layerwise.channels import SAMPLES, input_channels
from worker.compression.layerwise.linear import linear
from worker.compression.layerwise.smoothing import behind_normalisation, smooth
from worker.compression.techniques.account import Layer, changed, refuse_quantized
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.integer import MICROSOFT, IntegerWriter
from worker.compression.techniques.kernels import weight_range
from worker.compression.techniques.opsets import raised
from worker.compression.techniques.residuals import sums_for_residuals
from worker.compression.techniques.small_weights import NOT_FINITE, finite
from worker.compression.techniques.tables import quantize_tables, tables

OPSET = 11
"""The first opset with DynamicQuantizeLinear."""
QUANTIZED = frozenset({"MatMul", "Gemm", "LSTM"})


def int8_dynamic(model: ir.Model, step: Int8Dynamic, context: Context) -> Changed:
    """Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `step_failed`; with `smooth` also `missing_data`,
    `not_finite`, `model_does_not_run`."""
    refuse_quantized(model)
    if step.smooth is not None and context.calibration is None:
        raise Refusal(
            "missing_data", "int8_dynamic with smooth needs calibration data.", field="data.calibration"
        )
    model, notes = raised(model, OPSET, "dynamic quantization")
    layers = [
        Layer(node, _objection(node, step.exclude))
        for node in model.graph
        if node.domain in ("", "ai.onnx") and node.op_type in QUANTIZED
    ]
    chosen = [layer.node for layer in layers if layer.reason is None]
    embeddings = tables(model, step.exclude, chosen)
    weights = weight_range(step.weight_range)
    answer = changed(
        model,
        [*layers, *embeddings],
        "MatMul, Gemm or LSTM with a float32 weight, or an embedding table",
        [*notes, *weights.notes],
        weights.details(),
    )
    if step.smooth is not None:
        answer.details["layers_smoothed"] = _smooth(model, chosen, step.smooth, context)
    writer = IntegerWriter(model, weights.limit)
    quantize_tables(writer, embeddings)
    for number, node in enumerate(chosen, 1):
        if node.op_type == "LSTM":
            writer.write_lstm(node)
            model.opset_imports.setdefault(MICROSOFT, 1)
        else:
            writer.write_product(node)
        context.progress.advance(number / len(chosen))
    sums_for_residuals(model, step.exclude)
    passes.RemoveUnusedNodesPass()(model)
    return answer


def _smooth(model: ir.Model, chosen: list[ir.Node], alpha: float, context: Context) -> int:
    """Behind layer normalisations alone: elsewhere it costs a Mul over wider values, and wins less."""
    assert context.calibration is not None
    layers = [layer for layer in filter(None, map(linear, chosen)) if behind_normalisation(layer)]
    seen = input_channels(model, layers, context.calibration.draw(SAMPLES, context.seed))
    return smooth(model.graph, layers, seen, alpha, Names(model).fresh)


def _objection(node: ir.Node, patterns: list[str]) -> str | None:
    if excluded(node, patterns):
        return "excluded by pattern"
    weights = node.inputs[1:3] if node.op_type == "LSTM" else node.inputs[1:2]
    if any(w is None or w.const_value is None or w.const_value.dtype != ir.DataType.FLOAT for w in weights):
        return "its weight is no float32 initializer"
    if not all(map(finite, weights)):  # type: ignore[arg-type]
        return NOT_FINITE
    if node.inputs[0] is None or node.inputs[0].const_value is not None:
        return "its input is a constant"
    if node.op_type == "MatMul" and len(weights[0].const_value.shape) != 2:  # type: ignore[union-attr]
        return "its weight is not a matrix"
    if node.op_type == "Gemm" and not _plain(node):
        return "transA, alpha or beta differ from their defaults"
    if node.op_type == "LSTM" and "layout" in node.attributes and node.attributes["layout"].as_int():
        return "its layout is batch first, which the quantized LSTM lacks"
    return None


def _plain(node: ir.Node) -> bool:
    defaults = {"transA": 0.0, "alpha": 1.0, "beta": 1.0}
    return all(float(node.attributes[k].value) == v for k, v in defaults.items() if k in node.attributes)
