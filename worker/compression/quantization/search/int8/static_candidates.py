"""The static candidates of `int8`: calibrated once, and once more after smoothing where that helps.

Whichever of them and of the methods has the best outputs is what the others build on: other signs of activations, kinds
of layers left in float, and the most sensitive layers left in float.
"""

from dataclasses import dataclass, field

from winnow.contract.steps.mixed import STATIC_CANDIDATE
from worker.compression.progress import Within
from worker.compression.quantization.integer.operator_rules import rules_that_held
from worker.compression.quantization.search.acceptance import Acceptance
from worker.compression.quantization.search.exclusion import exclude_sensitive
from worker.compression.quantization.search.float_costs import costs_of
from worker.compression.quantization.search.int8.calibrations import PROGRESS, Calibrated, Calibrator
from worker.compression.quantization.search.int8.candidates import (
    AROUND_ZERO,
    SIGNED,
    SIGNS,
    WITHOUT_BOTH,
    WITHOUT_SENSITIVE,
    Candidate,
    partly_static,
    slower,
    static,
)
from worker.compression.quantization.search.repair.repairs import as_details, sentences
from worker.compression.quantization.search.sensitivity import measure_gains


@dataclass(frozen=True)
class StaticCandidates:
    """`details` and `notes` are for the report, the notes only where one of these wins."""

    candidates: list[Candidate] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def static_candidates(calibrator: Calibrator, accepts: Acceptance) -> StaticCandidates:
    """Calibrate, and list what is worth trying; nothing where nothing can be quantized statically.

    Takes the first 0.8 of the step's progress. Raises what `Observer` raises.
    """
    calibrations = calibrator.each()
    if not calibrations:
        return StaticCandidates()
    best, context = best_of(calibrations), calibrator.context
    base = best.static
    feed = next(calibrator.samples.take(1).batches(1))
    gains = measure_gains(base, feed, context)
    candidates = [static(each.static, f"{STATIC_CANDIDATE}{each.name}") for each in calibrations]
    if context.checked is None:  # else rules have said which sign is taken
        name = AROUND_ZERO if context.target == "openvino-cpu" else SIGNED
        candidates.append(static(base, name, signs=SIGNS[name]))
    candidates += partly_static(base, gains)
    part = Within(context.progress, PROGRESS, 2 * PROGRESS)
    excluded = exclude_sensitive(
        base,
        calibrator.output_error,
        accepts,
        lambda: gains,
        lambda: costs_of(base.model, context.shapes).of,
        part.advance,
    )
    if excluded.reasons:
        candidates.append(static(base, WITHOUT_SENSITIVE, excluded.reasons))
        both = slower(gains) | excluded.reasons
        if len(both) > len(excluded.reasons) and base.quantizable(both):
            candidates.append(static(base, WITHOUT_BOTH, both))
    by_name = {name: quality for each in calibrations for name, quality in each.quality.items()}
    details: dict[str, object] = {
        **report_of(best),
        "calibrations": {name: quality.as_report() for name, quality in by_name.items()},
        **excluded.as_report(),
    }
    return StaticCandidates(candidates, details, notes_of(best))


def best_of(calibrations: list[Calibrated]) -> Calibrated:
    """The one of the best outputs, which the others build on."""
    return max(calibrations, key=lambda calibrated: calibrated.snr_db)


def report_of(calibrated: Calibrated) -> dict[str, object]:
    """What the report has of a calibration."""
    repairs, rules = as_details(calibrated.repairs), rules_that_held(calibrated.static)
    return {**repairs, **rules, "target": calibrated.target}


def notes_of(calibrated: Calibrated) -> list[str]:
    """What the user should know of it."""
    return [*calibrated.static.notes(), *sentences(calibrated.repairs)]
