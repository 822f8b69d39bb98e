"""Measures the ranges of a model that is ready for static quantization, and repairs what would collapse in 8 bits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.integer.static_preparation import StaticSettings
from worker.compression.quantization.preparation.equalization import equalize
from worker.compression.quantization.preparation.smoothquant import smooth
from worker.compression.quantization.search.acceptance import MARGIN_DB
from worker.compression.quantization.search.float_costs import costs_of
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.quantization.search.repair.apart import keep_sentinels_apart
from worker.compression.quantization.search.repair.float_layers import leave_layers_in_float
from worker.compression.quantization.search.repair.judge import GOOD_DB, Judge
from worker.compression.quantization.search.repair.repair import repair
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.sentinels import marked_values
from worker.compression.steps.context import Context


@dataclass(frozen=True)
class Calibration:
    """`details` are for the report. `is_good`: the outputs were seen to be far above their error; where False, they may
    be all the same."""

    details: dict[str, Any]
    repairs: list[Repair]
    is_good: bool


def calibrate(
    static: Static,
    settings: StaticSettings,
    context: Context,
    report_progress: Callable[[float], None],
    comparer: OutputComparer | None = None,
    enough_db: float | None = None,
) -> Calibration:
    """Even channels out as the settings ask, measure the ranges, and repair.

    `comparer` has samples that are kept apart to judge on. With `enough_db` layers are left in float until the outputs
    are so far above their error. Raises what `Observer` raises.
    """
    details = _even_out(static, settings)
    if settings.repair:
        static.spared.marked = marked_values(static.model)
    static.observe(report_progress)
    judge = Judge(context, static.samples, comparer)
    repairs = keep_sentinels_apart(static, judge) if settings.repair else []
    static.corrects_biases = settings.bias_correction
    if settings.bias_correction:
        static.means = static.channel_means()
    if settings.repair:
        repairs += repair(static, judge)
    if settings.bias_correction:
        details["biases_corrected"] = len(static.means)
    if settings.repair and enough_db is not None and not (judge.saw_good and enough_db < GOOD_DB):
        repairs += _sensitive_layers(static, judge, enough_db, context)
    return Calibration(details, repairs, judge.saw_good)


def _sensitive_layers(static: Static, judge: Judge, enough_db: float, context: Context) -> list[Repair]:
    """Only where a glance does not say that all is well; a target with 16 bits has no floats between."""
    aimed = enough_db + MARGIN_DB
    if static.target.sixteen_bits or not static.quantizable() or judge.glanced_db(static) >= aimed:
        return []
    return leave_layers_in_float(static, judge, aimed, costs_of(static.model, context.shapes))


def _even_out(static: Static, settings: StaticSettings) -> dict[str, Any]:
    details: dict[str, Any] = {}
    channels = static.input_channels() if settings.equalize or settings.smooth is not None else {}
    if settings.equalize:
        details["pairs_equalized"] = equalize(static.layers(), channels)
        channels = static.input_channels()
    if settings.smooth is not None:
        details["layers_smoothed"] = smooth(static.edit, static.layers(), channels, settings.smooth)
    return details
