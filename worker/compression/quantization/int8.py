"""`int8`: tries the ways to 8 bits on this machine and keeps the best, with the numbers of all.

Time is measured here, in turns; quality on calibration data that no range was measured on. `int8_candidates` says
what is tried, `winner` who wins.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Int8, Int8Static
from worker.compression.data.samples import Samples
from worker.compression.measure.feeds import one_feed
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import race
from worker.compression.measure.timing.interleaved import ANEW
from worker.compression.onnx_files import model_files
from worker.compression.quantization.calibration.histogram import Method
from worker.compression.quantization.int8_static import WANTED, calibrated, prepared
from worker.compression.quantization.integer.dynamic_model import Dynamic
from worker.compression.quantization.integer.float_layers import layers, refuse_without_data
from worker.compression.quantization.integer.hardware import weight_range
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.acceptance import Acceptance, acceptance_rule
from worker.compression.quantization.search.exclusion import exclude_sensitive
from worker.compression.quantization.search.int8_candidates import (
    SMOOTH,
    Way,
    dynamic,
    partly_static,
    slower,
    smoothable,
    static,
)
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality
from worker.compression.quantization.search.sensitivity import measure_gains
from worker.compression.quantization.search.winner import CandidateResult, choose_winner
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import changed, refuse_quantized, rows
from worker.compression.steps.opset import raised

log = logging.getLogger(__name__)

OPSET = 13
JUDGED = 64
"""Samples at most that are kept apart to judge on; an eighth of all at most."""
STAMP_BYTES = 1024
"""What `assemble.lineage` writes into an artifact has fewer."""
METHODS: Final[tuple[Method, ...]] = ("minmax", "percentile", "mse")


def int8(model: ir.Model, step: Int8, context: Context) -> StepResult:
    """Raises `already_quantized`, `nothing_to_quantize`, `missing_data`, `not_finite`, `model_does_not_run`,
    `step_failed`."""
    refuse_quantized(model)
    original = model
    model, notes = raised(model, OPSET, "quantization per channel")
    calibration, judged = _split(context, step)
    judge = OutputComparer(model, judged, context.scratch, context.evaluation) if judged is not None else None
    meets, asked = _asked(step, context, judge)
    ways = [Way("float", "float", lambda: model), *_dynamic_ways(model, step, calibration, context.seed)]
    details: dict[str, object] = {"prefer": step.prefer, "asked": asked, "seed": context.seed}
    warned: list[str] = []
    if calibration is None or judge is None:
        notes.append(
            "Without calibration data only dynamic quantization was tried, and quality was not judged."
        )
    else:
        more, told, warned = _static_ways(model, step, context, calibration, judge, meets)
        ways += more
        details |= told | {"samples": len(calibration), "judged": len(judge.samples)}
    if len(ways) == 1:
        _refuse(model, step, ways[0], with_data=judge is not None)
    entries = _measured(ways, judge, meets, context)
    best, why = choose_winner(entries, step.prefer, _most_bytes(entries[0], context))
    won = ways[best]
    log.info("int8 chose %s", won.name)
    details |= {"chosen": won.name, "why": why, "candidates": [entry.as_report() for entry in entries]}
    said = [*(warned if won.kind == "int8_static" else []), *_said(ways, entries, best, why)]
    able = layers(model, step.patterns, won, with_data=judge is not None)
    if won.kind == "float":
        return StepResult(original, 0, len(able), said, {"layers": rows(able), **details})
    return changed(won.make(), able, WANTED, [*notes, *said], details)


def _refuse(model: ir.Model, step: Int8, way: Way, *, with_data: bool) -> None:
    """There is no way but the float model. Raises `missing_data` or `nothing_to_quantize`."""
    if not with_data:
        refuse_without_data(model, step.patterns)
    changed(model, layers(model, step.patterns, way, with_data=with_data), WANTED, [])


def _most_bytes(original: CandidateResult, context: Context) -> int:
    """What a file may have: no more than the float model or the upload, with what an artifact says of itself."""
    upload = context.upload_bytes
    return original.bytes if upload is None else min(original.bytes, upload) - STAMP_BYTES


def _split(context: Context, step: Int8) -> tuple[Samples | None, Samples | None]:
    """Rows that calibrate, and rows to judge on, apart where there are two or more; None without calibration data."""
    if context.calibration is None or not len(context.calibration):
        return None, None
    all_rows = context.calibration.draw(step.samples, context.seed)
    apart = min(JUDGED, len(all_rows) // 8 if len(all_rows) >= 8 else len(all_rows) // 2)
    whole = all_rows.fixed_batch or 1
    apart -= apart % whole
    if apart < 1:
        return all_rows, all_rows
    rows = np.asarray(all_rows.rows)
    picked = np.zeros(len(rows), bool)
    picked[np.random.default_rng(context.seed).permutation(len(rows))[:apart]] = True
    return replace(all_rows, rows=rows[~picked]), replace(all_rows, rows=rows[picked])


def _asked(step: Int8, context: Context, judge: OutputComparer | None) -> tuple[Acceptance, str]:
    labelled = judge is not None and judge.labelled
    if step.max_drop is None:
        return acceptance_rule(context.require, labelled)
    most = step.max_drop
    if labelled:
        return (lambda judged: judged.drop is not None and judged.drop <= most), f"drop ≤ {most:g}"
    return (lambda judged: 10 ** (-judged.snr_db / 20) <= most), f"relative error ≤ {most:g}"


@dataclass(frozen=True)
class Calibrated:
    """Ready to be quantized, by the method of the best outputs; `judged` has those of all methods."""

    static: Static
    target: object
    judged: dict[str, OutputQuality]
    name: str

    @property
    def outcome(self) -> OutputQuality:
        return self.judged[self.name]


def _dynamic_ways(model: ir.Model, step: Int8, samples: Samples | None, seed: int) -> list[Way]:
    """None where no layer has a dynamic kernel; with samples also after smoothing, where that helps."""
    base = Dynamic(model, step.patterns, weight_range("auto").limit)
    if all(layer.reason for layer in base.told()):
        return []
    ways = [dynamic(base)]
    if samples is not None and smoothable(model, step.patterns):
        smoothed = replace(base, alpha=SMOOTH)
        smoothed.observe(samples, seed)
        ways.append(dynamic(smoothed))
    return ways


def _static_ways(
    model: ir.Model, step: Int8, context: Context, samples: Samples, judge: OutputComparer, meets: Acceptance
) -> tuple[list[Way], dict[str, object], list[str]]:
    """Calibrated once, and once more after smoothing where that helps; what is built on has the best outputs.

    With details and notes for the report.
    """
    alphas = [None, SMOOTH] if smoothable(model, step.patterns) else [None]
    found: list[Calibrated] = []
    for alpha in alphas:
        begun = 0.4 * len(found) / len(alphas)
        one = _calibrated(model, step, samples, judge, alpha, _part(context, begun, 0.4 / len(alphas)))
        if one is None:
            return [], {}, []
        found.append(one)
    best = max(found, key=lambda one: one.outcome.snr_db)
    base = best.static
    feed = next(samples.take(1).batches(1))
    gains = measure_gains(base, feed, context.scratch, context.progress)
    ways = [static(one.static, f"static, {one.name}") for one in found]
    ways.append(static(base, "static, signed activations", signed=True))
    ways += partly_static(base, gains)
    told: dict[str, object] = {
        "target": best.target,
        "calibrations": {name: judged.as_report() for one in found for name, judged in one.judged.items()},
    }
    excluded = exclude_sensitive(base, judge, meets, lambda: gains, _part(context, 0.4, 0.4))
    told |= {"sensitivity": [one.as_report() for one in excluded.ranked], "exclusions": excluded.steps}
    if excluded.reasons:
        ways.append(static(base, "static, without the most sensitive", excluded.reasons))
        both = slower(gains) | excluded.reasons
        if len(both) > len(excluded.reasons) and base.quantizable(both):
            ways.append(static(base, "static, without sensitive and slower ones", both))
    return ways, told, base.unvarying()


def _calibrated(
    model: ir.Model,
    step: Int8,
    samples: Samples,
    judge: OutputComparer,
    alpha: float | None,
    told: Callable[[float], None],
) -> Calibrated | None:
    """None where nothing can be quantized statically."""
    settings = Int8Static.model_validate(
        {"kind": "int8_static", "exclude": step.patterns, "calibration": "mse", "smooth": alpha}
    )
    base, _, details = prepared(model.clone(), settings, samples)
    if not base.selection().weighted:
        return None
    calibrated(base, settings, told)
    judged = {method: judge(base.quantized(method=method)) for method in METHODS}
    base.method = max(METHODS, key=lambda method: judged[method].snr_db)
    before = "" if alpha is None else "smoothed, "
    named: dict[str, OutputQuality] = {before + method: one for method, one in judged.items()}
    return Calibrated(base, details["target"], named, before + base.method)


def _part(context: Context, begun: float, size: float) -> Callable[[float], None]:
    """Tells a share of a part as one of the whole step."""
    return lambda share: context.progress.advance(begun + size * share)


def _measured(
    ways: Sequence[Way], judge: OutputComparer | None, meets: Acceptance, context: Context
) -> list[CandidateResult]:
    """An entry for each way; graphs are made one at a time."""
    threads, batch = context.benchmark.thread_counts[0], context.benchmark.batch_sizes[0]
    networks: list[Network] = []
    sizes: list[int] = []
    found: list[OutputQuality | None] = []
    for number, way in enumerate(ways):
        graph, path = way.make(), context.scratch / f"candidate-{number}.onnx"
        model_files.save(graph, path, context.upload)
        sizes.append(context.file_bytes(graph))
        networks.append(Network(path, threads, f"{way.name!r}" if number else "the float model"))
        found.append(None if judge is None or number == 0 else judge(graph))
    feed, _ = one_feed(networks[0].inputs, batch, context.benchmark.shapes, context.calibration, context.seed)
    times = race(networks, feed, context.seed, context.progress)
    context.progress.advance(0.9)
    return [
        CandidateResult(
            way.name,
            len(way.layers),
            size,
            timed.speedup,
            timed.interval,
            timed.milliseconds,
            quality,
            quality is None or meets(quality),
            timed.untold,
        )
        for way, size, timed, quality in zip(ways, sizes, times, found, strict=True)
    ]


def _said(ways: Sequence[Way], entries: Sequence[CandidateResult], best: int, why: str) -> list[str]:
    """What the user should know: who won, and when there was nothing to win."""
    won, original = entries[best], entries[0]
    if best == 0:
        smaller = [
            i
            for i in range(1, len(entries))
            if entries[i].keeps_quality and entries[i].bytes < original.bytes
        ]
        said = f"The model stays as it was. {why}"
        if not smaller:
            return [said]
        smallest = min(smaller, key=lambda number: entries[number].bytes)
        ratio = entries[smallest].bytes / original.bytes
        advice = f"ask for {ways[smallest].kind}: {ratio:.2f}× the size."
        return [f"{said} For a smaller file at the price of time, {advice}"]
    if won.untold is not None:
        return [f"Chosen of {len(entries) - 1} candidates: {won.name}, without regard to time. {why}"]
    notes = [
        f"Chosen of {len(entries) - 1} candidates: {won.name}, {won.speedup:.2f}× as fast in the race of "
        f"candidates; {ANEW}. {why}"
    ]
    if won.speedup < 1 and won.interval[1] < 1:
        ratio = won.bytes / original.bytes
        notes.append(f"The result is slower than the float model, but smaller ({ratio:.2f}×).")
    return notes
