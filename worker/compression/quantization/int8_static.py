"""`int8_static`: weights int8 per channel, activations uint8, ranges from calibration data.

Stored as Q/DQ pairs around the float operators, which ONNX Runtime fuses into integer kernels. Embedding tables are
int8 too (`tables`), but for TensorRT, which takes integers behind Q/DQ nodes only.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8Static
from worker.compression.data.samples import Samples
from worker.compression.ir.naming import Names
from worker.compression.layers.batchnorm import fold_batchnorms
from worker.compression.layers.input_moments import moments
from worker.compression.quantization.integer.hardware import four_bits, target, weight_range
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.equalization import equalize
from worker.compression.quantization.preparation.mean_to_pool import pools_for_means
from worker.compression.quantization.preparation.smoothquant import smooth
from worker.compression.quantization.preparation.unfuse_skip_layernorm import sums_for_residuals
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import LayerDecision, changed, refuse_quantized, rows, taken
from worker.compression.steps.opset import raised

if TYPE_CHECKING:
    from worker.compression.quantization.search.exclusion import Exclusion

log = logging.getLogger(__name__)

OPSET = 13
"""The first opset in which a scale can be given per channel."""
OPSET_FOUR_BITS = 21
"""The first opset with 4-bit integers."""
WANTED = "Conv, Gemm or MatMul with a float32 weight, or an embedding table"
WARNED = 8
"""Samples on which the result is looked at, to say when it is poor."""
JUDGED = 64
"""Samples of the calibration data, at most, on which `exclude: "auto"` judges."""


def int8_static(model: ir.Model, step: Int8Static, context: Context) -> StepResult:
    """Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `not_finite`, `missing_data`, `step_failed`."""
    refuse_quantized(model)
    if context.calibration is None or not len(context.calibration):
        raise Refusal("missing_data", "int8_static needs calibration data.", field="data.calibration")
    samples, original = context.calibration.draw(step.samples, context.seed), model.clone()
    static, notes, details = prepared(model, step, samples)
    answer = changed(static.model, static.told(), WANTED, notes, details)
    told = _parts(context.progress.advance, 3 if step.exclude == "auto" else 1 + step.adaround)
    answer.details.update(samples=len(samples), seed=context.seed, **calibrated(static, step, next(told)))
    answer.notes.extend(static.unvarying())
    if step.adaround:
        _round(static, next(told))
    if step.exclude != "auto":
        made = static.quantized()
        return replace(answer, model=made, notes=[*answer.notes, *_warned(static, made, context)])
    excluded, asked = _excluded(static, context, next(told))
    layers = static.told(excluded.reasons)
    answer.details.update(_told(excluded, asked))
    if not excluded.met:
        return _kept(original, layers, answer, asked)
    answer.details.update(layers=rows(layers))
    return replace(answer, model=static.quantized(excluded.reasons), changed=len(taken(layers)))


def _kept(original: ir.Model, layers: list[LayerDecision], answer: StepResult, asked: str) -> StepResult:
    """The float model: nothing in integers reaches what is asked."""
    note = f"Even with every layer but one in float the calibration data misses {asked}: the model stays as it was."
    told = [
        LayerDecision(layer.node, layer.reason or "even alone it misses what is asked") for layer in layers
    ]
    return replace(
        answer, model=original, changed=0, notes=[note], details={**answer.details, "layers": rows(told)}
    )


def prepared(
    model: ir.Model, step: Int8Static, samples: Samples
) -> tuple[Static, list[str], dict[str, object]]:
    """Before anything is measured; the model may be changed. Also notes, and details for the report."""
    narrow = step.weight_bits == 4
    model, notes = (
        raised(model, OPSET_FOUR_BITS, "a weight of 4 bits")
        if narrow
        else raised(model, OPSET, "quantization per channel")
    )
    folded = fold_batchnorms(model, step.patterns)
    pools_for_means(model, step.patterns)
    machine, facts = target(step.target)
    weights = four_bits() if narrow else weight_range(step.weight_range, facts.exact)
    static = Static(model, step.patterns, weights, samples, step.calibration, step.percentile, facts)
    if machine != "cuda":
        static.embeddings = True
        sums_for_residuals(model, step.patterns)
    details = {"calibration": step.calibration, "target": machine, **weights.details()}
    return static, [*notes, *weights.notes], {**details, "batchnorms_folded": folded}


def calibrated(static: Static, step: Int8Static, told: Callable[[float], None]) -> dict[str, Any]:
    """Measures what the settings ask for, and evens channels out before."""
    details: dict[str, Any] = {}
    seen = static.input_channels() if step.equalize or step.smooth is not None else {}
    if step.equalize:
        details["pairs_equalized"] = equalize(static.layers(), seen)
        seen = static.input_channels()
    if step.smooth is not None:
        graph, names = static.model.graph, Names(static.model)
        details["layers_smoothed"] = smooth(graph, static.layers(), seen, step.smooth, names.fresh)
    static.observe(told)
    if step.bias_correction:
        static.means = {name: found.mean for name, found in static.input_channels(ranges=False).items()}
        details["biases_corrected"] = len(static.means)
    return details


def _round(static: Static, told: Callable[[float], None]) -> None:
    from worker.compression.quantization.preparation.adaround import learned

    for layer, sums in moments(static.model, static.layers(), static.samples, told):
        static.rounded[layer.name] = learned(layer.matrix(), sums.second, static.weights.limit)


def _excluded(static: Static, context: Context, told: Callable[[float], None]) -> tuple["Exclusion", str]:
    """What `exclude: "auto"` leaves out, and what it was asked for, in words."""
    from worker.compression.quantization.search.acceptance import acceptance_rule
    from worker.compression.quantization.search.exclusion import exclude_sensitive
    from worker.compression.quantization.search.output_error import OutputComparer
    from worker.compression.quantization.search.sensitivity import measure_gains

    judge = OutputComparer(
        static.model, static.samples.draw(JUDGED, context.seed), context.scratch, context.evaluation
    )
    meets, asked = acceptance_rule(context.require, judge.labelled)
    feed = next(static.samples.take(1).batches(1))
    excluded = exclude_sensitive(
        static, judge, meets, lambda: measure_gains(static, feed, context.scratch, context.progress), told
    )
    return excluded, asked


def _warned(static: Static, made: ir.Model, context: Context) -> list[str]:
    """Where the outputs suffer, what to do; judged on a few of the samples that the ranges come from."""
    from worker.compression.quantization.search.acceptance import HARMLESS_DB
    from worker.compression.quantization.search.output_error import OutputComparer

    found = OutputComparer(static.model, static.samples.take(WARNED), context.scratch)(made)
    if found.snr_db >= HARMLESS_DB:
        return []
    return [
        f"The outputs are {found.snr_db:.1f} dB above their error on calibration data, less than the {HARMLESS_DB:g} "
        'dB that count as harmless. If that is too little: exclude: "auto" finds the layers to blame and leaves them '
        "in float, and int8 tries other ways besides."
    ]


def _told(excluded: "Exclusion", asked: str) -> dict[str, Any]:
    return {
        "asked_on_calibration_data": asked,
        "found_on_calibration_data": excluded.judged.as_report(),
        "sensitivity": [one.as_report() for one in excluded.ranked],
        "exclusions": excluded.steps,
    }


def _parts(told: Callable[[float], None], count: int) -> Any:
    """One function per part of equal weight."""
    for part in range(count):
        yield lambda share, part=part: told((part + share) / count)
