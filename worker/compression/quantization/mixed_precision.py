"""`mixed_precision`: float, 8 or 4 bits for each layer, for a budget of size, latency or noise.

`layer_costs` says what each layer costs and gains at each number of bits, `bit_allocation` orders the moves; how many
are made follows from the budget, and for `min_snr_db` from measuring the whole model.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import MixedPrecision
from worker.compression.ir.edit import GraphEdit
from worker.compression.progress import Within
from worker.compression.quantization.integer.hardware import (
    FOUR_BITS_LIMIT,
    four_bits_lacking,
    resolve_target,
)
from worker.compression.quantization.integer.operator_rules import rules_that_held
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.integer.static_preparation import StaticSettings, prepare
from worker.compression.quantization.search.mixed_precision.account import (
    ESTIMATED,
    FOR_OTHERS,
    UNTOLD,
    layer_rows,
    requirement_result,
)
from worker.compression.quantization.search.mixed_precision.bit_allocation import (
    Move,
    bits_after,
    count_needed,
    order_moves,
)
from worker.compression.quantization.search.mixed_precision.layer_costs import (
    LayerCosts,
    by_weight,
    layer_costs,
    taken_bits,
)
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.quantization.search.repair.calibrated import calibrate
from worker.compression.quantization.search.repair.repairs import as_details, sentences
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import few, refuse_quantized, report_rows, step_result
from worker.compression.steps.opset import raised

OPSET = 21
"""The first opset with 4-bit integers."""
OPSET_CHANNELS = 13
"""The first opset with scales for each channel."""
WANTED = "Conv, Gemm or MatMul with a float32 weight"
MAX_COMPARED_SAMPLES = 64
"""On which the whole model is judged."""
NOT_MEASURED: Final = LayerCosts({}, {}, {}, {}, None)
REPORTED: Final = ("repairs", "float_operators")
"""Of the details, where anything is quantized."""


def mixed_precision(model: ir.Model, step: MixedPrecision, context: Context) -> StepResult:
    """Choose bits for each layer within the budget.

    Raises `already_quantized`, `nothing_to_quantize`, `not_finite`, `missing_data`, `step_failed`, `invalid_request`.
    """
    refuse_quantized(model)
    samples = context.draw_calibration(step.kind, step.samples)
    original, settings = model, StaticSettings(calibration="mse", repair=step.repair)
    _, target = resolve_target(settings.target, context.checked, context.features)
    opset, why = (
        (OPSET, "a weight of 4 bits")
        if target.takes_four_bits
        else (OPSET_CHANNELS, "quantization per channel")
    )
    model, notes = raised(model, opset, why)
    static, _ = prepare(
        GraphEdit(model, step.patterns), settings, samples, context.shared, context.checked, context.features
    )
    static.embeddings = False  # the budget is spent on layers alone
    notes += [*static.weights.notes, *four_bits_lacking(static.target)]
    result = step_result(static.model, static.selection().layers, WANTED, notes)
    repairs = calibrate(static, settings, context, Within(context.progress, 0, 0.2).advance).repairs
    result.details["layers"] = report_rows(static.selection().layers)
    reported = as_details(repairs) | rules_that_held(static)
    result.details.update(reported)
    result.notes.extend([*static.notes(), *sentences(repairs)])
    if step.bits is not None:
        return _as_named(original, static, result, step.bits, context)
    compared = samples.draw(MAX_COMPARED_SAMPLES, context.seed)
    output_error = OutputComparer(
        static.model, compared, context.scratch, context.evaluation, context.target, apart=step.repair
    )
    total_bytes = context.file_bytes(original)
    costs = layer_costs(static, output_error, context, step.sensitivity, Within(context.progress, 0.2, 0.9))
    readers = by_weight(static)
    ordered = order_moves(costs.choices(readers, for_speed=step.min_speedup is not None))

    def layers_after(taken: list[Move]) -> dict[str, int]:
        return {layer: bits for weight, bits in bits_after(taken).items() for layer in readers[weight]}

    count = _count(
        ordered,
        costs,
        step,
        total_bytes,
        lambda taken: _quantized(static, layers_after(taken)),
        output_error,
        context.file_bytes,
    )
    chosen = layers_after(ordered[:count])
    quantized = _quantized(static, chosen)
    ratio, speedup = context.file_bytes(quantized) / total_bytes, costs.speedup(chosen)
    if ratio >= 1 and (step.min_speedup is None or speedup is None or speedup <= 1):
        chosen, quantized, ratio = {}, original, 1.0  # neither smaller nor faster: the float model is better
        speedup = costs.speedup(chosen)
    quality = output_error(quantized)
    met = requirement_result(step, speedup, ratio, quality)
    details: dict[str, Any] = {
        **(reported if chosen else {}),
        "sensitivity_by": step.sensitivity,
        "samples": len(samples),
        "seed": context.seed,
        "found_on_calibration_data": quality.as_report(),
        "estimated_speedup": None if speedup is None else round(speedup, 3),
        "size_ratio": round(ratio, 4),
        "layers": layer_rows(result, costs, chosen),
    }
    if step.min_speedup is not None:
        details["as_settings"] = {"bits": chosen}
        estimate = f"Estimated to be {speedup:.2f}× as fast. {ESTIMATED}" if speedup is not None else UNTOLD
        result.notes.append(estimate)
    if not chosen:
        note = "The float model is the best that was tried: nothing was quantized."
        return StepResult(original, 0, result.candidates, [note], details, [met])
    return replace(result, model=quantized, changed=len(chosen), details=details, targets=[met])


def _as_named(
    original: ir.Model, static: Static, result: StepResult, chosen: Mapping[str, int], context: Context
) -> StepResult:
    """With the bits that the recipe names. Raises `invalid_request` where there is no such layer, or it stays float."""
    known = {str(node.name) for node in static.selection().weighted}
    if unknown := sorted(chosen.keys() - known):
        reasons = {row["name"]: row["reason"] for row in result.details["layers"]}
        why = f"stays float: {reasons[unknown[0]]}" if unknown[0] in reasons else "is no layer with weights"
        detail = f"bits names {unknown[0]!r}, which {why}. The layers are {few(known)}."
        raise Refusal("invalid_request", detail, field="recipe.steps.bits")
    taken = taken_bits(static)
    if untaken := sorted(name for name, bits in chosen.items() if bits not in taken[name]):
        detail = f"bits names {untaken[0]!r} with {chosen[untaken[0]]}, and the target takes its weights in 8 alone."
        raise Refusal("invalid_request", detail, field="recipe.steps.bits")
    quantized = _quantized(static, chosen) if chosen else original
    details = {
        **{name: rows for name, rows in result.details.items() if name in REPORTED and chosen},
        "samples": len(static.samples),
        "seed": context.seed,
        "size_ratio": round(context.file_bytes(quantized) / context.file_bytes(original), 4),
        "layers": layer_rows(result, NOT_MEASURED, chosen),
    }
    notes = result.notes if chosen else []  # they are of a model that is quantized
    return replace(result, model=quantized, changed=len(chosen), details=details, notes=notes)


def _count(
    ordered: list[Move],
    costs: LayerCosts,
    step: MixedPrecision,
    total_bytes: int,
    quantized: Callable[[list[Move]], ir.Model],
    output_error: OutputComparer,
    file_bytes: Callable[[ir.Model], int],
) -> int:
    """Say how many moves are made: all when the budget cannot be reached."""
    if step.min_snr_db is not None:
        least = step.min_snr_db
        return _largest(len(ordered), lambda count: output_error(quantized(ordered[:count])).snr_db >= least)
    if step.min_speedup is not None:
        whole = sum(costs.bytes.values()) if costs.total_ms is None else costs.total_ms
        count = count_needed(ordered, whole * (1 - 1 / step.min_speedup))
        return len(ordered) if count is None else count
    most = math.floor((step.max_size_ratio or 1) * total_bytes)
    needed: float = total_bytes - most
    while (count := count_needed(ordered, needed)) is not None:
        over = file_bytes(quantized(ordered[:count])) - most
        if over <= 0:
            return count
        needed = sum(move.gain for move in ordered[:count]) + over  # scales and nodes take bytes too
    return len(ordered)


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """Find the largest count that holds, by halving; 0 where none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _quantized(static: Static, chosen: Mapping[str, int]) -> ir.Model:
    float_reasons = {
        str(node.name): FOR_OTHERS for node in static.selection().weighted if node.name not in chosen
    }
    limits = {name: FOUR_BITS_LIMIT for name, bits in chosen.items() if bits == 4}
    return static.quantized(float_reasons, limits=limits)
