"""`int8`: tries the ways to 8 bits on this machine and keeps the best, with the numbers of all.

Time is measured here, in turns; quality on calibration data that no range was measured on. `int8_candidates` says
what is tried, `winner` who wins.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Int8
from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import time_candidates
from worker.compression.measure.timing.interleaved import MEASURED_ANEW_NOTE
from worker.compression.onnx_files import model_files
from worker.compression.quantization.integer.dynamic_model import Dynamic
from worker.compression.quantization.integer.eligibility import WANTED
from worker.compression.quantization.integer.hardware import weight_range
from worker.compression.quantization.search.acceptance import Acceptance, acceptance_rule
from worker.compression.quantization.search.float_layers import list_layers, refuse_without_data
from worker.compression.quantization.search.int8_candidates import SMOOTH, Way, dynamic, smoothable
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality
from worker.compression.quantization.search.static_candidates import static_candidates
from worker.compression.quantization.search.winner import CandidateResult, choose_winner
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import changed, refuse_quantized, rows
from worker.compression.steps.opset import raised

log = logging.getLogger(__name__)

OPSET = 13
MAX_JUDGED_SAMPLES = 64
"""Kept apart to judge on; an eighth of all at most."""
STAMP_BYTES = 1024
"""What `assemble.lineage` writes into an artifact has fewer."""


def int8(model: ir.Model, step: Int8, context: Context) -> StepResult:
    """Raises `already_quantized`, `nothing_to_quantize`, `missing_data`, `not_finite`, `model_does_not_run`,
    `step_failed`."""
    refuse_quantized(model)
    original = model
    model, notes = raised(model, OPSET, "quantization per channel")
    edit = GraphEdit(model, step.patterns)
    calibration, judged = _split(context, step)
    judge = OutputComparer(model, judged, context.scratch, context.evaluation) if judged is not None else None
    meets, required = _requirement(step, context, judge)
    ways = [Way("float", "float", lambda: model), *_dynamic_ways(edit, calibration, context.seed)]
    details: dict[str, object] = {"prefer": step.prefer, "asked": required, "seed": context.seed}
    warnings: list[str] = []
    if calibration is None or judge is None:
        notes.append(
            "Without calibration data only dynamic quantization was tried, and quality was not judged."
        )
    else:
        static = static_candidates(edit, context, calibration, judge, meets)
        ways += static.ways
        warnings = static.notes
        details |= static.details | {"samples": len(calibration), "judged": len(judge.samples)}
    if len(ways) == 1:
        _refuse(edit, ways[0], with_data=judge is not None)
    entries = _measured(ways, judge, meets, context)
    best, why = choose_winner(entries, step.prefer, _most_bytes(entries[0], context))
    winner = ways[best]
    log.info("int8 chose %s", winner.name)
    details |= {"chosen": winner.name, "why": why, "candidates": [entry.as_report() for entry in entries]}
    outcome = [*(warnings if winner.kind == "int8_static" else []), *_outcome(ways, entries, best, why)]
    layers = list_layers(edit, winner, with_data=judge is not None)
    if winner.kind == "float":
        return StepResult(original, 0, len(layers), outcome, {"layers": rows(layers), **details})
    return changed(winner.make(), layers, WANTED, [*notes, *outcome], details)


def _refuse(edit: GraphEdit, way: Way, *, with_data: bool) -> None:
    """There is no way but the float model. Raises `missing_data` or `nothing_to_quantize`."""
    if not with_data:
        refuse_without_data(edit)
    changed(edit.model, list_layers(edit, way, with_data=with_data), WANTED, [])


def _most_bytes(original: CandidateResult, context: Context) -> int:
    """What a file may have: no more than the float model or the upload, with what an artifact says of itself."""
    upload = context.upload_bytes
    return original.bytes if upload is None else min(original.bytes, upload) - STAMP_BYTES


def _split(context: Context, step: Int8) -> tuple[Samples | None, Samples | None]:
    """Rows that calibrate, and rows to judge on, apart where there are two or more; None without calibration data."""
    if context.calibration is None or not len(context.calibration):
        return None, None
    all_rows = context.calibration.draw(step.samples, context.seed)
    apart = min(MAX_JUDGED_SAMPLES, len(all_rows) // 8 if len(all_rows) >= 8 else len(all_rows) // 2)
    whole = all_rows.fixed_batch or 1
    apart -= apart % whole
    if apart < 1:
        return all_rows, all_rows
    rows = np.asarray(all_rows.rows)
    picked = np.zeros(len(rows), bool)
    picked[np.random.default_rng(context.seed).permutation(len(rows))[:apart]] = True
    return replace(all_rows, rows=rows[~picked]), replace(all_rows, rows=rows[picked])


def _requirement(step: Int8, context: Context, judge: OutputComparer | None) -> tuple[Acceptance, str]:
    """Whether a candidate is good enough, and in words what that is."""
    labelled = judge is not None and judge.labelled
    if step.max_drop is None:
        return acceptance_rule(context.require, labelled)
    most = step.max_drop
    if labelled:
        return (lambda judged: judged.drop is not None and judged.drop <= most), f"drop ≤ {most:g}"
    return (lambda judged: 10 ** (-judged.snr_db / 20) <= most), f"relative error ≤ {most:g}"


def _dynamic_ways(edit: GraphEdit, samples: Samples | None, seed: int) -> list[Way]:
    """None where no layer has a dynamic kernel; with samples also after smoothing, where that helps."""
    base = Dynamic(edit, weight_range("auto").limit)
    if all(layer.reason for layer in base.decisions()):
        return []
    ways = [dynamic(base)]
    if samples is not None and smoothable(edit):
        smoothed = replace(base, alpha=SMOOTH)
        smoothed.observe(samples, seed)
        ways.append(dynamic(smoothed))
    return ways


def _measured(
    ways: Sequence[Way], judge: OutputComparer | None, meets: Acceptance, context: Context
) -> list[CandidateResult]:
    """An entry for each way; graphs are made one at a time."""
    threads, batch = context.benchmark.thread_counts[0], context.benchmark.batch_sizes[0]
    networks: list[Network] = []
    sizes: list[int] = []
    qualities: list[OutputQuality | None] = []
    for number, way in enumerate(ways):
        graph, path = way.make(), context.scratch / f"candidate-{number}.onnx"
        model_files.save(graph, path, context.upload)
        sizes.append(context.file_bytes(graph))
        networks.append(Network(path, threads, f"{way.name!r}" if number else "the float model"))
        qualities.append(None if judge is None or number == 0 else judge(graph))
    feed, _ = benchmark_feed(
        networks[0].inputs, batch, context.benchmark.shapes, context.calibration, context.seed
    )
    times = time_candidates(networks, feed, context.seed, context.progress)
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
        for way, size, timed, quality in zip(ways, sizes, times, qualities, strict=True)
    ]


def _outcome(ways: Sequence[Way], entries: Sequence[CandidateResult], best: int, why: str) -> list[str]:
    """Say who won, and when there was nothing to win."""
    winner, original = entries[best], entries[0]
    if best == 0:
        smaller = [
            i
            for i in range(1, len(entries))
            if entries[i].keeps_quality and entries[i].bytes < original.bytes
        ]
        unchanged = f"The model stays as it was. {why}"
        if not smaller:
            return [unchanged]
        smallest = min(smaller, key=lambda number: entries[number].bytes)
        ratio = entries[smallest].bytes / original.bytes
        advice = f"ask for {ways[smallest].kind}: {ratio:.2f}× the size."
        return [f"{unchanged} For a smaller file at the price of time, {advice}"]
    if winner.untold is not None:
        return [f"Chosen of {len(entries) - 1} candidates: {winner.name}, without regard to time. {why}"]
    notes = [
        f"Chosen of {len(entries) - 1} candidates: {winner.name}, {winner.speedup:.2f}× as fast in the race of "
        f"candidates; {MEASURED_ANEW_NOTE}. {why}"
    ]
    if winner.speedup < 1 and winner.interval[1] < 1:
        ratio = winner.bytes / original.bytes
        notes.append(f"The result is slower than the float model, but smaller ({ratio:.2f}×).")
    return notes
