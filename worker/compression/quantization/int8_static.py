"""`int8_static`: weights int8 per channel, activations uint8, ranges from calibration data.

Stored as Q/DQ pairs around the float operators, which ONNX Runtime fuses into integer kernels. Embedding tables are
int8 too (`embeddings`), but for TensorRT, which takes integers behind Q/DQ nodes only.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from winnow.contract.recipe import Int8Static
from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.layers.input_moments import moments
from worker.compression.measure.quality.judgement import compares_with_labels
from worker.compression.progress import Progress, Within
from worker.compression.quantization.integer.eligibility import WANTED
from worker.compression.quantization.integer.hardware import resolve_target
from worker.compression.quantization.integer.operator_rules import rules_that_held
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.integer.static_preparation import StaticSettings, prepare
from worker.compression.quantization.search.acceptance import HARMLESS_DB, acceptance_rule, aimed_db
from worker.compression.quantization.search.exclusion import Exclusion, exclude_sensitive
from worker.compression.quantization.search.float_costs import costs_of
from worker.compression.quantization.search.output_error import OutputComparer, job_comparer
from worker.compression.quantization.search.repair.calibrated import calibrate
from worker.compression.quantization.search.repair.repairs import as_details, sentences
from worker.compression.quantization.search.sensitivity import measure_gains
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import (
    LayerDecision,
    changed_nodes,
    refuse_quantized,
    report_rows,
    step_result,
)
from worker.compression.steps.opset import raised

OPSET = 13
"""The first opset in which a scale can be given per channel."""
OPSET_FOUR_BITS = 21
"""The first opset with 4-bit integers."""
WARNING_SAMPLES = 8
"""On which the result is looked at, to say when it is poor."""
MAX_COMPARED_SAMPLES = 64
"""Of the calibration data, on which `exclude: "auto"` judges."""


def int8_static(model: ir.Model, step: Int8Static, context: Context) -> StepResult:
    """Quantize weights and activations by ranges of calibration data.

    Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `not_finite`, `missing_data`, `step_failed`.
    """
    refuse_quantized(model)
    samples = context.draw_calibration(step.kind, step.samples)
    original, settings = model.clone(), StaticSettings.of(step)
    _, target = resolve_target(settings.target, context.checked, context.features)
    if step.weight_bits == 4 and target.takes_four_bits:
        model, notes = raised(model, OPSET_FOUR_BITS, "a weight of 4 bits")
    else:
        model, notes = raised(model, OPSET, "quantization per channel")
    static, details = prepare(
        GraphEdit(model, step.patterns), settings, samples, context.shared, context.checked, context.features
    )
    result = step_result(static.model, static.decisions(), WANTED, [*notes, *static.weights.notes], details)
    parts = _parts(context.progress, 3 if step.exclude == "auto" else 1 + step.adaround)
    calibration = calibrate(
        static, settings, context, next(parts), enough_db=_enough_db(step, samples, context)
    )
    result.details.update(samples=len(samples), seed=context.seed, **calibration.details)
    result.details.update(as_details(calibration.repairs), **rules_that_held(static))
    result.notes.extend([*static.notes(), *sentences(calibration.repairs)])
    if static.unreached or static.spared.float_nodes:
        layers = static.decisions()
        result.details["layers"] = report_rows(layers)
        result = replace(result, changed=len(changed_nodes(layers)))
    if step.adaround:
        _learn_rounding(static, next(parts))
    if step.exclude == "auto":
        return _without_sensitive(static, context, original, result, next(parts), apart=step.repair)
    quantized = static.quantized()
    if calibration.is_good:
        return replace(result, model=quantized)
    warnings = _warnings(static, quantized, context, apart=step.repair)
    return replace(result, model=quantized, notes=[*result.notes, *warnings])


def _enough_db(step: Int8Static, samples: Samples, context: Context) -> float | None:
    """Signal to noise for which layers are left in float; None where `exclude: "auto"` does that, where labels judge,
    and where weights of 4 bits are for size."""
    if step.exclude == "auto" or step.weight_bits == 4:
        return None
    return aimed_db(context.require, compares_with_labels(context.evaluation, samples))


def _parts(progress: Progress, count: int) -> Iterator[Callable[[float], None]]:
    """Split the progress into parts of equal weight."""
    return (Within(progress, part / count, (part + 1) / count).advance for part in range(count))


def _learn_rounding(static: Static, report_progress: Callable[[float], None]) -> None:
    from worker.compression.quantization.preparation.adaround import learn_rounding  # imports torch

    for layer, sums in moments(static.model, static.layers(), static.samples, report_progress):
        static.rounded[layer.name] = learn_rounding(layer.matrix(), sums.hessian, static.weights.limit)


def _without_sensitive(
    static: Static,
    context: Context,
    original: ir.Model,
    result: StepResult,
    report_progress: Callable[[float], None],
    *,
    apart: bool,
) -> StepResult:
    """Leave out what `exclude: "auto"` has to; the float model, where nothing in integers reaches what is required."""
    samples = static.samples.draw(MAX_COMPARED_SAMPLES, context.seed)
    output_error = job_comparer(static.model, samples, context, apart=apart)
    accepts, required = acceptance_rule(context.require, output_error.labelled)
    feed = next(static.samples.take(1).batches(1))
    excluded = exclude_sensitive(
        static,
        output_error,
        accepts,
        lambda: measure_gains(static, feed, context),
        lambda: costs_of(static.model, context.shapes).of,
        report_progress,
    )
    layers = static.decisions(excluded.reasons)
    if not excluded.met:
        layers = [
            LayerDecision(layer.node, layer.reason or "even alone it misses what is asked")
            for layer in layers
        ]
    details = result.details | _as_report(excluded, required) | {"layers": report_rows(layers)}
    if excluded.met:
        quantized = static.quantized(excluded.reasons)
        return replace(result, model=quantized, changed=len(changed_nodes(layers)), details=details)
    note = f"Even with every layer but one in float the calibration data misses {required}: the model stays as it was."
    return replace(result, model=original, changed=0, notes=[note], details=details)


def _as_report(excluded: Exclusion, required: str) -> dict[str, Any]:
    return {
        "asked_on_calibration_data": required,
        "found_on_calibration_data": excluded.quality.as_report(),
        **excluded.as_report(),
    }


def _warnings(static: Static, quantized: ir.Model, context: Context, *, apart: bool) -> list[str]:
    """Say what to do where the outputs suffer; judged on a few of the samples that the ranges come from."""
    quality = OutputComparer(
        static.model,
        static.samples.take(WARNING_SAMPLES),
        context.scratch,
        target=context.target,
        apart=apart,
    )(quantized)
    if quality.snr_db >= HARMLESS_DB:
        return []
    return [
        f"The outputs are {quality.snr_db:.1f} dB above their error on calibration data, less than the {HARMLESS_DB:g} "
        'dB that count as harmless. If that is too little: exclude: "auto" finds the layers to blame and leaves them '
        "in float, and int8 tries other ways besides."
    ]
