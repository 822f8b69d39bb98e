"""`weight_only`: stores weights in 8, 4, 3 or 2 bits with a scale for each block of inputs; activations stay float.

One layer at a time: its weight is read from the file, rounded (`block_affine`, `gptq`, `awq`), packed, and
written to a file of the step's own, from which it stays mapped: any model needs the memory of its largest layer.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.forecast.nbits import bits_of, has_whole_blocks, saves_as_planes
from winnow.contract.recipe import WeightOnly
from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.written import weight_not_taken
from worker.compression.graph.nodes.output_heads import output_heads
from worker.compression.ir.mapped_tensors import MappedTensors, release
from worker.compression.ir.operator_sets import MATMULS_CONV_AND_GATHER
from worker.compression.ir.values import tensor_of
from worker.compression.layers.input_moments import UNSEEN, Moments, measurable, moments
from worker.compression.layers.linear import Linear
from worker.compression.quantization.weights import bit_unpacking
from worker.compression.quantization.weights.awq import Scales, scale
from worker.compression.quantization.weights.block_affine import Grid
from worker.compression.quantization.weights.eligibility import (
    WeightLayer,
    decide,
    first_readers,
    name_twins,
    weight_layers,
)
from worker.compression.quantization.weights.nbits_writer import NBitsWriter
from worker.compression.quantization.weights.rounding import FITS, Rounded, round_layer
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import LayerDecision, changed_nodes, refuse_quantized, step_result
from worker.compression.steps.opset import raised

OPSET_BLOCKS: Final = 21
"""The first opset whose DequantizeLinear has blocks and 4-bit integers."""
NO_WHOLE_BLOCKS: Final = "a product reads the table too, and its rows are not whole blocks"
NODE_BYTES: Final = 300
"""What the nodes of a quantized layer take in the file, about."""


def weight_only(model: ir.Model, step: WeightOnly, context: Context) -> StepResult:
    """Store weights in few bits, in place.

    Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `missing_data`, `not_finite`, `model_does_not_run`,
    `step_failed`.
    """
    refuse_quantized(model)
    if step.required and context.calibration is None:
        raise Refusal(
            "missing_data", f"weight_only by {step.method} needs calibration data.", field="data.calibration"
        )
    model, notes = _raised(model, step, context.checked)
    layers, bits = weight_layers(model), Bits.for_model(model, step)
    decisions = _decisions(layers, step, bits, context.checked)
    result = step_result(
        model,
        decisions,
        "MatMul, Gemm, Conv or Gather with a float32 weight",
        notes,
        {"bits": step.bits, "block": step.block, "symmetric": step.symmetric, "method": step.method},
    )
    rows = {str(row["name"]): row for row in result.details["layers"]}
    writer = NBitsWriter(model, MappedTensors(context.scratch / "weights.data"))
    chosen = first_readers(layers, decisions)
    name_twins(chosen, rows)
    scales = _scaled(chosen, model, bits, context) if step.method == "awq" else None
    blind = []
    for rounded in _rounded(chosen, model, bits, context, scales):
        release(rounded.layer.weight)
        if rounded.layer.linear is not None and not rounded.by_data:
            blind.append(rounded.layer.linear.name)
        rows[str(rounded.layer.node.name)].update(_written(rounded, writer))
    if step.method == "gptq" and blind:
        result.notes.append(f"Rounded without data, as {UNSEEN}: {', '.join(blind)}.")
    if scales is not None:
        for name, account in scales.account.items():
            rows[name].update(account)
        result.notes.append(_in_words(scales))
    return result


def _scaled(chosen: list[WeightLayer], model: ir.Model, of: "Bits", context: Context) -> Scales:
    """Scale by AWQ: what takes up scales is changed in place, weights when they are rounded."""
    measured, step = model.clone(), of.step
    bits = {layer.linear: of.of(layer) for layer in chosen if layer.linear is not None}
    return scale(
        model,
        chosen,
        lambda layers: _moments(measured, list(layers), step, context),
        FITS[step.method],
        lambda layer: Grid(bits[layer], step.symmetric),
        step.block,
    )


def _in_words(scales: Scales) -> str:
    """How many products are scaled and by what, and why the others are not."""
    places = Counter(account["scaled_by"] for account in scales.account.values() if account["scaled_by"])
    why = Counter(account["unscaled"] for account in scales.account.values() if account["unscaled"])
    said = "; ".join(f"{count} by {place}" for place, count in places.items())
    others = "; ".join(f"{count} not, as {reason}" for reason, count in why.items())
    return "Scaled by AWQ: " + "; ".join(filter(None, [said, others])) + "."


def _raised(model: ir.Model, step: WeightOnly, target: CheckedTarget | None) -> tuple[ir.Model, list[str]]:
    bits = Bits.for_model(model, step)
    kinds = {node.op_type for node in changed_nodes(_decisions(weight_layers(model), step, bits, target))}
    if "Conv" in kinds:
        return raised(model, OPSET_BLOCKS, "quantization in blocks")
    if 3 in step.widths and kinds:
        return raised(model, bit_unpacking.OPSET, "unpacking a weight of 3 bits")
    return model, []


def _decisions(
    layers: list[WeightLayer], step: WeightOnly, bits: "Bits", target: CheckedTarget | None
) -> list[LayerDecision]:
    """One for each layer; `target` is the one whose rules say what may be written, where there is one."""

    def stored_bytes(layer: WeightLayer) -> float:
        rows, inner = layer.rows
        scales = rows * -(-inner // (step.block or inner))
        return rows * inner * bits.of(layer) / 8 + scales * (4 if step.symmetric else 5) + NODE_BYTES

    decisions = decide(
        layers, step.layers, step.exclude, stored_bytes, MATMULS_CONV_AND_GATHER, _why_no_nbits_product
    )
    return [
        LayerDecision(layer.node, reason)
        if decision.reason is None
        and (reason := _why_not_written(layer, step.block, bits.of(layer), target)) is not None
        else decision
        for layer, decision in zip(layers, decisions, strict=True)
    ]


def _why_not_written(layer: WeightLayer, block: int, bits: int, target: CheckedTarget | None) -> str | None:
    if layer.tied and not has_whole_blocks(layer.rows[1], block, bits):
        return NO_WHOLE_BLOCKS
    planes = saves_as_planes(math.prod(layer.rows), bits)
    reasons = (weight_not_taken(node.op_type, bits, target, planes=planes) for node in layer.nodes)
    return next(filter(None, reasons), None)


@dataclass(frozen=True)
class Bits:
    """How many each layer's weight gets."""

    step: WeightOnly
    heads: set[ir.Node]

    @classmethod
    def for_model(cls, model: ir.Model, step: WeightOnly) -> "Bits":
        return cls(step, set() if step.head_bits is None else output_heads(model))

    def of(self, layer: WeightLayer) -> int:
        table = any(node.op_type == "Gather" for node in layer.nodes)
        return bits_of(self.step, table=table, head=not self.heads.isdisjoint(layer.nodes))


def _why_no_nbits_product(layer: Linear) -> str | None:
    """MatMulNBits takes no vectors."""
    return "its input is a single vector" if any(map(_multiplies_a_vector, layer.readers)) else None


def _multiplies_a_vector(layer: Linear) -> bool:
    data = layer.node.inputs[0]
    return (
        layer.node.op_type == "MatMul" and data is not None and data.shape is not None and len(data.shape) < 2
    )


def _rounded(
    layers: list[WeightLayer], model: ir.Model, bits: Bits, context: Context, scales: Scales | None
) -> Iterator[Rounded]:
    """Round all layers, each when the one before is written. With GPTQ the sums are those of the float model; what no
    sample reaches is rounded without."""
    step, is_measurable = bits.step, measurable(model)
    fitted = [
        layer
        for layer in layers
        if step.method == "gptq" and layer.linear is not None and is_measurable(layer.linear)
    ]
    if fitted:
        lines = [layer.linear for layer in fitted if layer.linear is not None]
        for layer, (_, sums) in zip(fitted, _moments(model.clone(), lines, step, context), strict=True):
            yield round_layer(layer, step, bits.of(layer), sums if sums.rows else None)
    rest = [layer for layer in layers if layer not in fitted]
    for number, layer in enumerate(rest):
        yield round_layer(layer, step, bits.of(layer), scales=scales)
        context.progress.advance((len(fitted) + number + 1) / len(layers))


def _moments(
    model: ir.Model, layers: list[Linear], step: WeightOnly, context: Context
) -> Iterator[tuple[Linear, Moments]]:
    assert context.calibration is not None
    samples = context.calibration.draw(step.samples, context.seed)
    return moments(model, layers, samples, context.progress.advance, context.shared)


def _written(rounded: Rounded, writer: NBitsWriter) -> dict[str, Any]:
    """Writes the layer, and reports what that cost."""
    layer, result = rounded.layer, rounded.result
    before = tensor_of(layer.weight).nbytes
    stored_as, after = writer.write(layer.nodes, layer.weight, result)
    return {
        "bits": result.grid.bits,
        "block": result.fitted.block,
        "weight_error": rounded.weight_error,
        "output_error": rounded.output_error,
        "dead_inputs": rounded.dead_inputs,
        "bytes_before": before,
        "bytes_after": after,
        "stored_as": stored_as,
    }
