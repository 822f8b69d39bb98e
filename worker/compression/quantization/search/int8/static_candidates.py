"""The static candidates of `int8`: calibrated once, and once more after smoothing where that helps.

Whichever of them and of the methods has the best outputs is what the others build on: signed activations, kinds of
layers left in float, and the most sensitive layers left in float.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.progress import Within
from worker.compression.quantization.calibration.histogram import Method
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.integer.static_preparation import StaticSettings, prepare
from worker.compression.quantization.search.acceptance import Acceptance
from worker.compression.quantization.search.exclusion import exclude_sensitive
from worker.compression.quantization.search.int8.candidates import (
    SMOOTH,
    Candidate,
    partly_static,
    slower,
    smoothable,
    static,
)
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality
from worker.compression.quantization.search.repair.calibrated import calibrate
from worker.compression.quantization.search.repair.repairs import Repair, as_details, sentences
from worker.compression.quantization.search.sensitivity import measure_gains
from worker.compression.steps.context import Context

SIGNED: Final = "static, signed activations"
METHODS: Final[tuple[Method, ...]] = ("minmax", "percentile", "mse")


@dataclass(frozen=True)
class StaticCandidates:
    """`details` and `notes` are for the report, the notes only where one of these wins."""

    candidates: list[Candidate] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Calibrated:
    """Ready to be quantized, by the method of the best outputs; `quality` has those of all methods."""

    static: Static
    target: object
    quality: dict[str, OutputQuality]
    name: str
    repairs: list[Repair]

    @property
    def outcome(self) -> OutputQuality:
        return self.quality[self.name]


def static_candidates(
    edit: GraphEdit,
    context: Context,
    samples: Samples,
    output_error: OutputComparer,
    accepts: Acceptance,
    *,
    repair: bool = True,
) -> StaticCandidates:
    """Calibrate, and list what is worth trying; nothing where nothing can be quantized statically.

    Takes the first 0.8 of the step's progress. Raises what `Observer` raises.
    """
    calibrations = _calibrations(edit, context, samples, output_error, repair=repair)
    if not calibrations:
        return StaticCandidates()
    best = max(calibrations, key=lambda calibrated: calibrated.outcome.snr_db)
    base = best.static
    feed = next(samples.take(1).batches(1))
    gains = measure_gains(base, feed, context)
    candidates = [static(calibrated.static, f"static, {calibrated.name}") for calibrated in calibrations]
    if context.checked is None:  # else rules have said which sign is taken
        candidates.append(static(base, SIGNED, signed=True))
    candidates += partly_static(base, gains)
    excluded = exclude_sensitive(
        base, output_error, accepts, lambda: gains, Within(context.progress, 0.4, 0.8).advance
    )
    if excluded.reasons:
        candidates.append(static(base, "static, without the most sensitive", excluded.reasons))
        both = slower(gains) | excluded.reasons
        if len(both) > len(excluded.reasons) and base.quantizable(both):
            candidates.append(static(base, "static, without sensitive and slower ones", both))
    by_name = {name: quality for calibrated in calibrations for name, quality in calibrated.quality.items()}
    details: dict[str, object] = {
        **as_details(best.repairs),
        "target": best.target,
        "calibrations": {name: quality.as_report() for name, quality in by_name.items()},
        "sensitivity": [layer.as_report() for layer in excluded.ranked],
        "exclusions": excluded.steps,
    }
    return StaticCandidates(candidates, details, [*base.unvarying(), *sentences(best.repairs)])


def chosen_static(
    edit: GraphEdit,
    context: Context,
    samples: Samples,
    output_error: OutputComparer,
    name: str,
    float_layers: Sequence[str],
    *,
    repair: bool = True,
) -> StaticCandidates:
    """The candidate that an earlier job has chosen, without timing any; nothing where there is none to quantize."""
    calibrations = _calibrations(edit, context, samples, output_error, repair=repair)
    if not calibrations:
        return StaticCandidates()
    best = max(calibrations, key=lambda calibrated: calibrated.outcome.snr_db)
    chosen = next((each for each in calibrations if name == f"static, {each.name}"), best)
    reasons = dict.fromkeys(float_layers, "the recipe names it among those that stay float")
    signed = True if name == SIGNED else None
    details = {**as_details(chosen.repairs), "target": chosen.target}
    notes = sentences(chosen.repairs)
    return StaticCandidates([static(chosen.static, name, reasons, signed=signed)], details, notes)


def _calibrations(
    edit: GraphEdit, context: Context, samples: Samples, output_error: OutputComparer, *, repair: bool
) -> list[Calibrated]:
    """With and without smoothing, where that helps; none where nothing can be quantized statically."""
    alphas = [None, SMOOTH] if smoothable(edit) else [None]
    calibrations: list[Calibrated] = []
    for number, alpha in enumerate(alphas):
        part = Within(context.progress, 0.4 * number / len(alphas), 0.4 * (number + 1) / len(alphas))
        settings = StaticSettings(calibration="mse", smooth=alpha, repair=repair)
        calibrated = _calibrated(edit, context, samples, output_error, settings, part.advance)
        if calibrated is None:
            return []
        calibrations.append(calibrated)
    return calibrations


def _calibrated(
    edit: GraphEdit,
    context: Context,
    samples: Samples,
    output_error: OutputComparer,
    settings: StaticSettings,
    report_progress: Callable[[float], None],
) -> Calibrated | None:
    """None where nothing can be quantized statically."""
    base, details = prepare(
        edit.on_clone(), settings, samples, context.shared, context.checked, context.features
    )
    if not base.selection().weighted:
        return None
    repairs = calibrate(base, settings, context, report_progress, output_error).repairs
    quality = {method: output_error(base.quantized(method=method)) for method in METHODS}
    base.method = max(METHODS, key=lambda method: quality[method].snr_db)
    before = "" if settings.smooth is None else "smoothed, "
    by_name = {f"{before}{method}": quality for method, quality in quality.items()}
    return Calibrated(base, details["target"], by_name, before + base.method, repairs)
