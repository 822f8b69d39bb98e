"""The steps of a recipe, one after the other, each kept when it is done."""

import time
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from winnow.contract.recipe import AnyStep
from winnow.contract.report import StepReport
from worker.compression.cache.checkpoint import Checkpoints
from worker.compression.cache.unfinished import Unfinished
from worker.compression.float_candidate import apply_or_keep
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.half_precision.float_types import restore_float_types
from worker.compression.materials import Materials
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.steps.decisions import TrainingDiverged


def run_steps(
    steps: Sequence[AnyStep], materials: Materials, checkpoints: Checkpoints, best_weights: Path
) -> tuple[ir.Model, list[StepReport]]:
    """Do all steps in order, going on after the last checkpoint.

    Raises what `apply` raises. A training that diverged leaves the best weights so far as the file `best_weights`.
    """
    graph, reports = _start(steps, materials, checkpoints)
    try:
        for index in range(len(reports), len(steps)):
            unfinished = checkpoints.unfinished(steps[: index + 1])
            graph, report = _run_step(graph, steps[index], index, materials, unfinished)
            reports.append(report)
            checkpoints.keep(graph, steps[: index + 1], reports)
    except TrainingDiverged as diverged:
        restore_float_types(diverged.model, materials.upload.float_types)
        model_files.save_single_file(diverged.model, best_weights)
        raise
    return graph, reports


def result_of(scratch: Path, index: int) -> Path:
    """Name the file of the model after a step; it is there where the step was done in this attempt."""
    return scratch / f"step-{index}" / "result.onnx"


def _start(
    steps: Sequence[AnyStep], materials: Materials, checkpoints: Checkpoints
) -> tuple[ir.Model, list[StepReport]]:
    if (last := checkpoints.last(steps)) is None:
        return materials.upload.float32.clone(), []
    graph, reports = last
    materials.progress.log(f"Going on after step {len(reports)} of {len(steps)}, finished before.")
    return graph, reports


def _run_step(
    graph: ir.Model, step: AnyStep, index: int, materials: Materials, unfinished: Unfinished
) -> tuple[ir.Model, StepReport]:
    progress = materials.progress
    progress.step(index, step.kind)
    begun, context = time.monotonic(), materials.context(index, step, unfinished)
    result = apply_or_keep(graph, step, context)
    after = normalise(result.model, norms_apart=not materials.upload.as_is)
    path = result_of(materials.scratch, index)
    model_files.save(after, path, materials.upload.names)
    report = StepReport(
        index=index,
        kind=step.kind,
        seconds=time.monotonic() - begun + unfinished.seconds_before,
        changed=result.changed,
        candidates=result.candidates,
        size_bytes=bytes_of(path),
        opset=opset_of(after),
        notes=result.notes,
        targets=result.targets,
        details=result.details,
    )
    figures = report.model_dump(include={"changed", "candidates", "size_bytes"})
    progress.log(f"{step.kind}: {report.changed} of {report.candidates} nodes changed.", **figures)
    for note in report.notes:
        progress.log(note)
    return after, report
