"""Causes of a loss of quality."""

from itertools import pairwise
from typing import Final

from winnow.contract.recipe import (
    Binary,
    Float16,
    Int8Static,
    LowRank,
    Palette,
    Sparsity,
    StructuredPruning,
    Student,
    Training,
    WeightOnly,
)
from winnow.contract.report import RequirementResult
from worker.compression.result.causes.evidence import Evidence
from worker.compression.result.causes.shared import rows_of

FEW_SAMPLES: Final = 32
"""Ranges of activations from fewer hang on single samples."""
TELLING_SHARE: Final = 0.5
"""Of the loss, or of the noise, that one layer or step has to have to be the cause."""
STILL_FALLING: Final = 0.98
FEW_BITS: Final = 4
FLOAT16_MAX: Final = 65504


def original_falls_short(entry: RequirementResult, evidence: Evidence) -> str | None:
    """A value that is asked of a metric, which the original has not."""
    _, _, rest = entry.name.partition("metrics.")
    metric, _, bound = rest.rpartition(".")
    quality = next((quality for quality in evidence.report.quality if quality.metric == metric), None)
    if quality is None or bound not in ("min", "max"):
        return None
    meets = quality.before >= entry.asked if bound == "min" else quality.before <= entry.asked
    return None if meets else f"the original itself has a {metric} of {quality.before:.4f}"


def float16_overflow(entry: RequirementResult, evidence: Evidence) -> str | None:
    if entry.name != "finite_outputs" or not any(isinstance(step, Float16) for step, _ in evidence.changed):
        return None
    return f"a value grew beyond {FLOAT16_MAX}, where float16 ends"


def layer_alone(_: RequirementResult, evidence: Evidence) -> str | None:
    """One layer of those that a step quantized costs most, where the step measured each alone."""
    for _step, report in evidence.changed:
        quantized = {row["name"] for row in rows_of(report, "layers") if row.get("quantized")}
        rows = [row for row in rows_of(report, "sensitivity") if row["name"] in quantized]
        if len(rows) < 2:
            continue
        drops = [row["metric_drop"] for row in rows if row.get("metric_drop") is not None]
        worst = max(rows, key=lambda row: row.get("metric_drop") or 0.0)
        if drops and (drop := worst.get("metric_drop") or 0.0) >= TELLING_SHARE * sum(map(abs, drops)) > 0:
            metric = evidence.report.quality[0].metric if evidence.report.quality else "the metric"
            return f"layer {worst['name']} alone costs {drop:.4f} of {metric} on calibration data"
        noises = {row["name"]: 10 ** (-row["snr_db"] / 10) for row in rows}
        name = max(noises, key=lambda layer: noises[layer])
        if noises[name] >= TELLING_SHARE * sum(noises.values()):
            snr = next(row["snr_db"] for row in rows if row["name"] == name)
            share = noises[name] / sum(noises.values())
            return (
                f"layer {name} alone leaves the outputs {snr:.1f} dB above their error on calibration data, "
                f"{share:.0%} of the noise of all {len(rows)} layers"
            )
    return None


def unfinished_training(_: RequirementResult, evidence: Evidence) -> str | None:
    for step, report in evidence.changed:
        if not isinstance(step, Training):
            continue
        epochs = rows_of(report, "epochs")
        for name in ("validation_loss", "loss"):
            losses = [row[name] for row in epochs if isinstance(row.get(name), float)]
            if len(losses) >= 2:
                before, last = losses[-2:]
                if last < STILL_FALLING * before:
                    return (
                        f"the training ended at epoch {epochs[-1]['epoch']} with a {name.replace('_', ' ')} that still "
                        f"fell ({before:.4g} to {last:.4g})"
                    )
                break
    return None


def few_calibration_samples(_: RequirementResult, evidence: Evidence) -> str | None:
    for step, report in evidence.changed:
        samples = report.details.get("samples")
        if step.quantizes and isinstance(samples, int) and 0 < samples < FEW_SAMPLES:
            return f"{report.kind} calibrated on {samples} samples only"
    return None


def step_to_blame(_: RequirementResult, evidence: Evidence) -> str | None:
    """The step with which most of the noise came, where the model was looked at after each."""
    noises = [0.0, *(10 ** (-snr / 10) for snr in evidence.snr_db)]
    grown = [after - before for before, after in pairwise(noises)]
    if len(grown) < 2 or (most := max(grown)) < TELLING_SHARE * max(noises) or most <= 0:
        return None
    index = grown.index(most)
    before = f"{evidence.snr_db[index - 1]:.1f} dB" if index and noises[index] else "nothing"
    lost = f"{before} to" if before != "nothing" else "no error to"
    place = evidence.place(evidence.report.steps[index])
    return f"the loss came with {place}: the outputs went from {lost} {evidence.snr_db[index]:.1f} dB above their error"


def few_bits(_: RequirementResult, evidence: Evidence) -> str | None:
    for step, report in evidence.changed:
        match step:
            case Binary():
                bits = 1
            case Palette():
                bits = (step.colors - 1).bit_length()
            case WeightOnly():
                bits = step.bits
            case Int8Static():
                bits = step.weight_bits
            case _:
                continue
        if bits <= FEW_BITS:
            return f"weights have {bits} bit{'s' if bits > 1 else ''} after {evidence.place(report)}"
    return None


def narrow_weights(_: RequirementResult, evidence: Evidence) -> str | None:
    for _step, report in evidence.changed:
        if report.details.get("weight_range") == [-64, 64]:
            return "weights have 7 bits in place of 8: this CPU has no VNNI, and would cut off sums of 8-bit products"
    return None


def cut_without_training(_: RequirementResult, evidence: Evidence) -> str | None:
    """What was cut was never trained again."""
    cuts = [
        (step, report)
        for step, report in evidence.changed
        if isinstance(step, StructuredPruning | Student | LowRank | Sparsity)
    ]
    if not cuts:
        return None
    step, report = cuts[-1]
    recovered = isinstance(step, StructuredPruning) and step.recovery is not None
    trained = any(isinstance(later, Training) for later in evidence.steps[report.index :])
    if recovered or trained:
        return None
    parameters, sparsity = evidence.report.parameters, evidence.report.sparsity
    if isinstance(step, Sparsity):
        what = f"{sparsity.after:.0%} of the weights are zero"
    else:
        what = f"{1 - (parameters.ratio or 0):.0%} of the parameters are gone"
    return f"{what} since {evidence.place(report)}, and nothing was trained after it"


def only_step(entry: RequirementResult, evidence: Evidence) -> str | None:
    if len(evidence.changed) != 1 or entry.measured is None:
        return None
    _, report = evidence.changed[0]
    return f"all of it comes with {evidence.place(report)}, the only step that changed anything"
