"""The candidate of `int8` that a recipe names, as an earlier job's report has called it: made without a race."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8
from winnow.contract.steps.mixed import STATIC_CANDIDATE
from winnow.contract.target_rules.written import not_taken
from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.quantization.integer.dynamic_model import Dynamic
from worker.compression.quantization.integer.hardware import TARGETS, machine_of, weight_range
from worker.compression.quantization.search.int8.calibrations import CALIBRATIONS, Calibrated, Calibrator
from worker.compression.quantization.search.int8.candidates import (
    DYNAMIC,
    DYNAMIC_SMOOTHED,
    KINDS,
    MEASURED,
    SIGNS,
    SMOOTH,
    Candidate,
    dynamic,
    kinds_in_float,
    smoothable,
    static,
)
from worker.compression.quantization.search.int8.float_layers import list_layers
from worker.compression.quantization.search.int8.static_candidates import best_of, notes_of, report_of
from worker.compression.steps.context import Context
from worker.compression.steps.decisions import few

OF_DYNAMIC: Final = (DYNAMIC, DYNAMIC_SMOOTHED)
OF_STATIC: Final = (*(f"{STATIC_CANDIDATE}{name}" for name in CALIBRATIONS), *SIGNS, *KINDS, *MEASURED)
NAMES: Final = ("float", *OF_DYNAMIC, *OF_STATIC)
BY_RECIPE: Final = "the recipe names it among those that stay float"


@dataclass(frozen=True)
class Named:
    """`details` and `notes` are for the report."""

    candidate: Candidate
    details: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def named_candidate(edit: GraphEdit, step: Int8, context: Context, calibrator: Calibrator | None) -> Named:
    """The candidate of that name and no other; `calibrator` is None without data.

    Raises `invalid_request` where the model has none of that name or no such layers, `missing_data`, and what
    `Observer` raises.
    """
    name = str(step.candidate)
    original = Candidate("float", "float", lambda: edit.model)
    known = {str(layer.node.name) for layer in list_layers(edit, original, with_data=True)}
    if unknown := sorted({*step.float_layers} - known):
        why = f"{unknown[0]!r} is no layer with weights. The layers are {few(known)}."
        raise Refusal("invalid_request", f"float_layers: {why}", field="recipe.steps.float_layers")
    if name not in NAMES:
        _refuse(name, f"the candidates of int8 are {'; '.join(NAMES)}")
    if name == original.name:
        return Named(original)
    if name in OF_STATIC:
        return _static(name, step.float_layers, context, calibrator)
    samples = None if calibrator is None else calibrator.samples
    made = {candidate.name: candidate for candidate in dynamic_candidates(edit, samples, context)}
    if name not in made:
        _refuse(name, "this model has no layers for it, its data is missing, or the target does not take it")
    return Named(made[name])


def _static(name: str, float_layers: Sequence[str], context: Context, calibrator: Calibrator | None) -> Named:
    """With the calibration that the name says, else the one of the best outputs."""
    if calibrator is None:
        detail = f"The candidate {name!r} of int8 needs calibration data."
        raise Refusal("missing_data", detail, field="data.calibration")
    if (why := _why_not_static(name, float_layers, context)) is not None:
        _refuse(name, why)
    calibrated = _calibrated(name.removeprefix(STATIC_CANDIDATE), calibrator)
    if calibrated is None:
        _refuse(name, "no layer of this model can be quantized so")
    reasons = dict.fromkeys(float_layers, BY_RECIPE)
    if name in KINDS:
        kinds = kinds_in_float(calibrated.static)
        if name not in kinds:
            _refuse(name, "of this model it would leave nothing or everything in float")
        reasons |= kinds[name]
    candidate = static(calibrated.static, name, reasons, signs=SIGNS.get(name))
    return Named(candidate, report_of(calibrated), notes_of(calibrated))


def _why_not_static(name: str, float_layers: Sequence[str], context: Context) -> str | None:
    if (lacking := not_taken("int8_static", context.checked)) is not None:
        return lacking
    if name in SIGNS and context.checked is not None:
        return f"the rules of {context.checked} say which sign activations have"
    if name in MEASURED and not float_layers:
        return "which layers it leaves in float only measuring tells: name them in float_layers"
    return None


def _calibrated(name: str, calibrator: Calibrator) -> Calibrated | None:
    if name in CALIBRATIONS:
        return calibrator.named(name)
    calibrations = calibrator.each()
    return best_of(calibrations) if calibrations else None


def _refuse(name: str, why: str) -> NoReturn:
    raise Refusal("invalid_request", f"candidate: not {name!r}; {why}.", field="recipe.steps.candidate")


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
