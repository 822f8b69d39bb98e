"""`int8`: tries candidates in 8 bits on this machine and keeps the best, with the numbers of all.

Time is measured here, in turns; quality on calibration data that no range was measured on. `int8_candidates` says
what is tried, `winner` who wins.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8
from winnow.contract.target import DEFAULT_TARGET
from winnow.contract.target_rules.written import not_taken
from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import time_candidates
from worker.compression.measure.timing.interleaved import MEASURED_ANEW_NOTE
from worker.compression.onnx_files import model_files
from worker.compression.quantization.integer.eligibility import WANTED
from worker.compression.quantization.search.acceptance import Acceptance, acceptance_rule
from worker.compression.quantization.search.int8.calibrations import Calibrator
from worker.compression.quantization.search.int8.candidates import Candidate
from worker.compression.quantization.search.int8.float_layers import list_layers, refuse_without_data
from worker.compression.quantization.search.int8.named_candidate import dynamic_candidates, named_candidate
from worker.compression.quantization.search.int8.static_candidates import static_candidates
from worker.compression.quantization.search.int8.winner import CandidateResult, choose_winner
from worker.compression.quantization.search.output_error import (
    OutputComparer,
    OutputQuality,
    job_comparer,
)
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import LayerDecision, refuse_quantized, report_rows, step_result
from worker.compression.steps.opset import raised

log = logging.getLogger(__name__)

OPSET = 13
MAX_COMPARED_SAMPLES = 64
"""Kept apart to judge on; an eighth of all at most."""
STAMP_BYTES = 1024
"""What `assemble.lineage` writes into an artifact has fewer."""


def int8(model: ir.Model, step: Int8, context: Context) -> StepResult:
    """Keep the best of the candidates in 8 bits.

    Raises `already_quantized`, `nothing_to_quantize`, `missing_data`, `not_finite`, `model_does_not_run`,
    `step_failed`.
    """
    refuse_quantized(model)
    original = model
    model, notes = raised(model, OPSET, "quantization per channel")
    edit = GraphEdit(model, step.patterns)
    calibration, compared = _split(context, step)
    output_error = None if compared is None else job_comparer(model, compared, context, apart=step.repair)
    details: dict[str, object]
    calibrator = None
    if calibration is not None and output_error is not None:
        calibrator = Calibrator(edit, context, calibration, output_error, step.repair)
    if step.candidate is not None:
        named = named_candidate(edit, step, context, calibrator)
        layers = list_layers(edit, named.candidate, with_data=calibrator is not None)
        details = {"seed": context.seed, "chosen": step.candidate, "why": "The recipe names it."}
        return _result(original, named.candidate, layers, notes, named.notes, details | named.details)
    if (lacking := not_taken("int8", context.checked)) is not None:
        return _unchanged(
            original, edit, f"The model stays as it was: {lacking}.", with_data=output_error is not None
        )
    accepts, required = _requirement(step, context, output_error)
    candidates = [
        Candidate("float", "float", lambda: model),
        *dynamic_candidates(edit, calibration, context),
    ]
    details = {"prefer": step.prefer, "asked": required, "seed": context.seed}
    warnings: list[str] = []
    if calibrator is None:
        notes.append(
            "Without calibration data only dynamic quantization was tried, and quality was not judged."
        )
    else:
        static = static_candidates(calibrator, accepts)
        candidates += static.candidates
        warnings, judged = static.notes, len(calibrator.output_error.samples)
        details |= static.details | {"samples": len(calibrator.samples), "judged": judged}
    if len(candidates) == 1:
        _refuse(edit, candidates[0], with_data=output_error is not None)
    candidates, entries, unloadable = _measured(candidates, output_error, accepts, context)
    notes += unloadable
    best, why = choose_winner(entries, step.prefer, _most_bytes(entries[0], context))
    winner = candidates[best]
    log.info("int8 chose %s", winner.name)
    details |= {"chosen": winner.name, "why": why, "candidates": [entry.as_report() for entry in entries]}
    outcome = [*(warnings if winner.kind == "int8_static" else []), *_outcome(candidates, entries, best, why)]
    layers = list_layers(edit, winner, with_data=output_error is not None)
    return _result(original, winner, layers, notes, outcome, details)


def _result(
    original: ir.Model,
    winner: Candidate,
    layers: list[LayerDecision],
    notes: list[str],
    outcome: list[str],
    details: dict[str, object],
) -> StepResult:
    if winner.kind == "float":
        return StepResult(original, 0, len(layers), outcome, {"layers": report_rows(layers), **details})
    return step_result(winner.make(), layers, WANTED, [*notes, *outcome], details)


def _unchanged(original: ir.Model, edit: GraphEdit, note: str, *, with_data: bool) -> StepResult:
    stays = Candidate("float", "float", lambda: edit.model)
    layers = list_layers(edit, stays, with_data=with_data)
    return _result(original, stays, layers, [], [note], {"chosen": stays.name, "why": note})


def _refuse(edit: GraphEdit, candidate: Candidate, *, with_data: bool) -> None:
    """Refuse a model with no candidate but the float one. Raises `missing_data` or `nothing_to_quantize`."""
    if not with_data:
        refuse_without_data(edit)
    step_result(edit.model, list_layers(edit, candidate, with_data=with_data), WANTED, [])


def _most_bytes(original: CandidateResult, context: Context) -> int:
    """Bound the file: no more than the float model or the upload, with what an artifact says of itself."""
    upload = context.upload_bytes
    return original.bytes if upload is None else min(original.bytes, upload) - STAMP_BYTES


def _split(context: Context, step: Int8) -> tuple[Samples | None, Samples | None]:
    """Rows that calibrate, and rows to judge on, apart where there are two or more; None without calibration data."""
    if context.calibration is None or not len(context.calibration):
        return None, None
    all_rows = context.calibration.draw(step.samples, context.seed)
    apart = min(MAX_COMPARED_SAMPLES, len(all_rows) // 8 if len(all_rows) >= 8 else len(all_rows) // 2)
    whole = all_rows.fixed_batch or 1
    apart -= apart % whole
    if apart < 1:
        return all_rows, all_rows
    rows = np.asarray(all_rows.rows)
    picked = np.zeros(len(rows), bool)
    picked[np.random.default_rng(context.seed).permutation(len(rows))[:apart]] = True
    return replace(all_rows, rows=rows[~picked]), replace(all_rows, rows=rows[picked])


def _requirement(step: Int8, context: Context, output_error: OutputComparer | None) -> tuple[Acceptance, str]:
    """Make the rule that accepts a candidate, and say in words what it asks."""
    labelled = output_error is not None and output_error.labelled
    if step.max_drop is None:
        return acceptance_rule(context.require, labelled)
    most = step.max_drop
    if labelled:
        return (lambda quality: quality.drop is not None and quality.drop <= most), f"drop ≤ {most:g}"
    return (lambda quality: 10 ** (-quality.snr_db / 20) <= most), f"relative error ≤ {most:g}"


def _measured(
    candidates: Sequence[Candidate],
    output_error: OutputComparer | None,
    accepts: Acceptance,
    context: Context,
) -> tuple[list[Candidate], list[CandidateResult], list[str]]:
    """Measure each candidate that the target can load, and note the others; graphs are made one at a time."""
    threads, batch = context.benchmark.thread_counts[0], context.benchmark.batch_sizes[0]
    loaded: list[Candidate] = []
    networks: list[Network] = []
    sizes: list[int] = []
    qualities: list[OutputQuality | None] = []
    notes: list[str] = []
    for number, candidate in enumerate(candidates):
        graph, path = candidate.make(), context.scratch / f"candidate-{number}.onnx"
        model_files.save(graph, path, context.upload)
        role = f"{candidate.name!r}" if number else "the float model"
        try:
            network = Network(path, threads, role, target=context.target)
            quality = None if output_error is None or number == 0 else output_error(graph)
        except Refusal as refusal:
            if (
                number == 0
                or context.target == DEFAULT_TARGET
                or refusal.problem.code != "model_does_not_run"
            ):
                raise
            notes.append(f"Not tried: {refusal.problem.detail}")
            continue
        loaded.append(candidate)
        networks.append(network)
        sizes.append(context.file_bytes(graph))
        qualities.append(quality)
    feed, _ = benchmark_feed(
        networks[0].inputs, batch, context.benchmark.shapes, context.calibration, context.seed
    )
    times = time_candidates(networks, feed, context.seed, context.progress)
    context.progress.advance(0.9)
    entries = [
        CandidateResult(
            candidate.name,
            len(candidate.layers),
            size,
            timed.speedup,
            timed.interval,
            timed.milliseconds,
            quality,
            quality is None or accepts(quality),
            timed.untold,
        )
        for candidate, size, timed, quality in zip(loaded, sizes, times, qualities, strict=True)
    ]
    return loaded, entries, notes


def _outcome(
    candidates: Sequence[Candidate], entries: Sequence[CandidateResult], best: int, why: str
) -> list[str]:
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
        advice = f"ask for {candidates[smallest].kind}: {ratio:.2f}× the size."
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
