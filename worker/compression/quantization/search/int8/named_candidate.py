"""The candidate of `int8` that a recipe names, as an earlier job's report has called it: made without a race."""

from dataclasses import replace

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8
from winnow.contract.target_rules.written import not_taken
from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.quantization.integer.dynamic_model import Dynamic
from worker.compression.quantization.integer.hardware import TARGETS, machine_of, weight_range
from worker.compression.quantization.search.int8.candidates import SMOOTH, Candidate, dynamic, smoothable
from worker.compression.quantization.search.int8.static_candidates import chosen_static
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.steps.context import Context


def named_candidate(
    edit: GraphEdit,
    step: Int8,
    context: Context,
    calibration: Samples | None,
    output_error: OutputComparer | None,
) -> Candidate:
    """Return the one candidate. Raises `invalid_request` where the model has none of that name, and what `Observer`
    raises."""
    name = step.candidate or ""
    candidates = [Candidate("float", "float", lambda: edit.model)]
    if name.startswith("dynamic"):
        candidates += dynamic_candidates(edit, calibration, context)
    elif name.startswith("static, ") and calibration is not None and output_error is not None:
        static = chosen_static(
            edit, context, calibration, output_error, name, step.float_layers, repair=step.repair
        )
        candidates += static.candidates
    for candidate in candidates:
        if candidate.name == name:
            return candidate
    raise Refusal("invalid_request", f"int8 has no candidate {name!r} for this model, or lacks data for it.")


def dynamic_candidates(edit: GraphEdit, samples: Samples | None, context: Context) -> list[Candidate]:
    """None where no layer has a dynamic kernel, or the target does not take one; with samples also after smoothing,
    where that helps."""
    if not_taken("int8_dynamic", context.checked) is not None:
        return []
    base = Dynamic(edit, weight_range("auto", TARGETS[machine_of(context.features)].exact).limit)
    if all(layer.reason for layer in base.decisions()):
        return []
    candidates = [dynamic(base)]
    if samples is not None and smoothable(edit):
        smoothed = replace(base, alpha=SMOOTH)
        smoothed.observe(samples, context.seed)
        candidates.append(dynamic(smoothed))
    return candidates
