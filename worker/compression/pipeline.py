"""compress(): a model, a recipe and data in; a smaller or faster ONNX file and a measured report out."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from winnow.contract.graph_hash import graph_sha256
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import AnyStep, Recipe
from winnow.contract.report import Report, StepReport
from worker.compression import artifact_file
from worker.compression.apply import check
from worker.compression.checkpoint import Checkpoints, fingerprint
from worker.compression.data.source import Data, Source
from worker.compression.float_candidate import apply_or_keep
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.in_float32 import in_float32
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.half_precision.float_types import check_types, restore_float_types
from worker.compression.inspection import check_runs, open_model
from worker.compression.materials import Materials
from worker.compression.measure.apart.comparison import LARGE_BYTES, compare_apart
from worker.compression.measure.apart.memory import measure_fresh
from worker.compression.measure.apart.processes import Comparing, Comparison
from worker.compression.measure.compare import ORIGINAL, check_baseline, compare
from worker.compression.measure.feeds import one_feed
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.signature import Signature
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import bytes_of, compressed_bytes_of, sha256_of
from worker.compression.options import Options
from worker.compression.progress import Progress, Silent
from worker.compression.report import assemble, lineage
from worker.compression.steps.decisions import TrainingDiverged
from worker.compression.steps.opset import returned
from worker.compression.weight_storage.drop_defaults import names_in

ARTIFACT, REPORT = "artifact.onnx", "report.json"


def compress(
    model: Path,
    recipe: Recipe,
    data: Data,
    out_dir: Path,
    progress: Progress | None = None,
    *,
    options: Options | None = None,
) -> Report:
    """Apply the recipe's steps to the model and measure the result against the model as given.

    Writes `artifact.onnx` and `report.json` into `out_dir`, and a checkpoint after each step: called again with the
    same arguments it goes on after the last one. The result is there whether or not the requirements are met.
    Raises `Refusal` for whatever cannot be done; its problem says why. A training that diverged leaves the best weights
    so far as `artifact.onnx`, without a report.
    """
    progress, options = progress or Silent(), options or Options()
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix="scratch-") as folder:
        scratch = Path(folder)
        source = sha256_of(model)
        baseline = open_model(model, scratch / "model", max_unpacked_bytes=options.max_unpacked_bytes)
        size = bytes_of(baseline)
        if size < LARGE_BYTES:
            check_runs(baseline)
        original = model_files.load(baseline)
        tidied = tidy(original)
        signature = Signature.of(original)
        uploaded = normalise(original)
        original, types = in_float32(uploaded, scratch / "float32")
        check_types(original, types, recipe.steps)
        upload = names_in(without_raw_data(baseline))
        materials = Materials(
            original,
            types,
            upload,
            size,
            signature,
            data,
            scratch,
            out_dir / "curves",
            progress,
            options,
        )
        for given in (data.calibration, data.evaluation):
            materials.samples(given)  # what does not fit is refused before any work
        check(original, recipe.steps, materials.model)
        if size < LARGE_BYTES:
            _check_baseline(baseline, materials)
        else:
            _run_once(baseline, inputs_of(uploaded), materials)

        kept = Checkpoints(out_dir / "checkpoints", fingerprint(source, data, options))
        try:
            graph, steps = _run(original.clone(), recipe.steps, materials, kept)
        except TrainingDiverged as diverged:
            restore_float_types(diverged.model, types)
            model_files.save_one_file(diverged.model, out_dir / ARTIFACT)
            raise

        done = [step for step, told in zip(recipe.steps, steps, strict=True) if told.changed]
        if done:
            steps = _with_notes(steps, restore_float_types(graph, materials.types(recipe.steps)))
            graph, notes = artifact_file.with_packing_opset(graph, done)
            steps = _with_notes(steps, notes)
        else:
            graph = model_files.load(baseline)  # a normal form is for steps that do something
        tidy(graph)
        steps = _with_notes(steps, returned(graph, uploaded, artifact_file.least_opset(done)))
        materials.signature(recipe.steps).restore(graph)
        candidate = scratch / "candidate.onnx"
        packing = artifact_file.write(graph, candidate, done, upload)
        steps = artifact_file.told(steps, recipe.steps, packing)
        progress.step(len(recipe.steps), "measure")
        measured = _measured(baseline, candidate, materials, _overlap(data, recipe), scratch)
        model_files.stamp(graph, lineage(source, recipe, options, measured, graph_sha256(candidate)))
        artifact = out_dir / ARTIFACT
        artifact_file.write(graph, artifact, done, upload)
        if bytes_of(artifact) > size and (not done or bytes_of(candidate) <= size):
            shutil.copyfile(candidate, artifact)  # what is said of it would make the file larger
        report = assemble(
            before=uploaded,
            after=graph,
            sizes=(size, bytes_of(artifact)),
            compressed=(compressed_bytes_of(baseline), compressed_bytes_of(artifact)),
            hashes=(source, sha256_of(artifact)),
            graph=graph_sha256(artifact),
            tidied=tidied,
            steps=steps,
            measured=measured,
            options=options,
        )
    (out_dir / REPORT).write_text(report.model_dump_json(indent=1))
    return report


def _run_once(baseline: Path, inputs: list[TensorSpec], materials: Materials) -> None:
    """In a process of its own: what a large model takes there is none of this one's memory. It is judged at the end."""
    data, options = materials.data, materials.options
    samples = materials.samples(data.evaluation or data.calibration, inputs)
    feed, _ = one_feed(
        inputs, options.benchmark.batch_sizes[0], options.benchmark.shapes, samples, options.seed
    )
    measure_fresh(baseline, feed, options.benchmark.thread_counts[0], ORIGINAL, options.processes)


def _check_baseline(baseline: Path, materials: Materials) -> None:
    """It runs, on the data that is given, and its own quality comes first."""
    data, options = materials.data, materials.options
    given = materials.samples(data.evaluation), materials.samples(data.calibration)
    notes = check_baseline(baseline, *given, options.evaluation, options.benchmark, options.seed)
    figures = notes[:1] if options.evaluation is not None else []
    for note in notes:
        materials.progress.log(note, "info" if note in figures else "warning")


def _run(
    graph: ir.Model, steps: Sequence[AnyStep], materials: Materials, kept: Checkpoints
) -> tuple[ir.Model, list[StepReport]]:
    """All steps in order, going on after the last checkpoint."""
    reports: list[StepReport] = []
    if (last := kept.last(steps)) is not None:
        graph, reports = last
        materials.progress.log(
            f"Going on after step {len(reports)} of {len(steps)}, finished by an earlier attempt."
        )
    for index in range(len(reports), len(steps)):
        graph, report = _step(graph, steps[index], index, materials)
        kept.keep(graph, steps[: index + 1], report)
        reports.append(report)
    return graph, reports


def _step(graph: ir.Model, step: AnyStep, index: int, materials: Materials) -> tuple[ir.Model, StepReport]:
    materials.progress.step(index, step.kind)
    begun, context = time.monotonic(), materials.context(index, step)
    changed = apply_or_keep(graph, step, context)
    result = normalise(changed.model)
    path = context.scratch / "result.onnx"
    model_files.save(result, path, materials.upload)
    report = StepReport(
        index=index,
        kind=step.kind,
        seconds=time.monotonic() - begun,
        changed=changed.changed,
        candidates=changed.candidates,
        size_bytes=bytes_of(path),
        opset=opset_of(result),
        notes=changed.notes,
        targets=changed.targets,
        details=changed.details,
    )
    materials.progress.log(
        f"{step.kind}: {changed.changed} of {changed.candidates} nodes changed.", **_told(report)
    )
    for note in changed.notes:
        materials.progress.log(note)
    return result, report


def _measured(
    baseline: Path, candidate: Path, materials: Materials, overlap: bool, scratch: Path
) -> Comparison:
    """Large models in a process of their own."""
    data, options, progress = materials.data, materials.options, materials.progress
    if materials.upload_bytes >= LARGE_BYTES:
        comparing = Comparing(
            baseline,
            candidate,
            inputs_of(materials.original),
            data.evaluation,
            data.calibration,
            overlap,
            options.evaluation,
            options.benchmark,
            options.seed,
            options.max_unpacked_bytes,
        )
        return compare_apart(comparing, scratch, progress, options.processes)
    return compare(
        baseline,
        candidate,
        evaluation=materials.samples(data.evaluation),
        calibration=materials.samples(data.calibration),
        overlap=overlap,
        metric=options.evaluation,
        benchmark=options.benchmark,
        seed=options.seed,
        progress=progress,
        processes=options.processes,
    )


def _with_notes(steps: list[StepReport], notes: list[str]) -> list[StepReport]:
    """What was done to the artifact after the last step is told there."""
    if not notes or not steps:
        return steps
    return [*steps[:-1], steps[-1].model_copy(update={"notes": [*steps[-1].notes, *notes]})]


def _told(report: StepReport) -> dict[str, Any]:
    return {"changed": report.changed, "candidates": report.candidates, "size_bytes": report.size_bytes}


def _overlap(data: Data, recipe: Recipe) -> bool:
    """Whether rows that calibrated or trained are also judged on."""
    trains = any("training" in step.needs for step in recipe.steps)
    used = (data.calibration, data.training if trains else None)
    return any(_share_rows(source, data.evaluation) for source in used)


def _share_rows(one: Source | None, other: Source | None) -> bool:
    if one is None or other is None:
        return False
    if one.path != other.path and sha256_of(one.path) != sha256_of(other.path):
        return False
    (a, b), (c, d) = (source.slice or (0, 2**63) for source in (one, other))
    return max(a, c) < min(b, d)
