"""compress(): a model, a recipe and data in; a smaller or faster ONNX file and a measured report out."""

import tempfile
from dataclasses import replace
from pathlib import Path

from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.cache.checkpoint import Checkpoints
from worker.compression.cache.shared_arrays import SharedArrays
from worker.compression.data.source import Data
from worker.compression.first_checks import check_job
from worker.compression.generation.told import in_a_loop
from worker.compression.materials import Materials, fingerprint
from worker.compression.options import Options
from worker.compression.progress import Progress, Silent
from worker.compression.result.artifact import finish
from worker.compression.result.comparing import compare_with_original
from worker.compression.result.explain import explain
from worker.compression.result.packaged import hand_over, sized
from worker.compression.result.report import assemble
from worker.compression.result.told import write_results
from worker.compression.run_steps import run_steps
from worker.compression.upload.upload import open_upload

ARTIFACT = "artifact.onnx"


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

    Writes `artifact.onnx` (of a package the zip of its graphs), `report.json` and, where it is asked for, `page.html`
    into `out_dir`, and checkpoints after each step and in trainings: called again with the same arguments it goes on
    after the last one. The result is there whether or not the requirements are met. Raises `Refusal` for whatever
    cannot be done; its problem says why. A training that diverged leaves the best weights so far as `artifact.onnx`,
    without a report.
    """
    progress, options = progress or Silent(), options or Options()
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix="scratch-") as folder:
        scratch = Path(folder)
        upload = open_upload(model, scratch, max_unpacked_bytes=options.max_unpacked_bytes)
        upload = upload.for_steps(recipe.steps, data, scratch)
        if (package := upload.package) is not None:
            options = sized(options, upload, data)
        artifact_path = (scratch if package else out_dir) / ARTIFACT
        materials = Materials(upload, data, scratch, out_dir / "curves", progress, options)
        loop = (
            None
            if package is None or options.generate is None
            else in_a_loop(options.generate, package, materials)
        )
        materials = materials.split() if loop is None else loop.fed(materials)
        check_job(recipe.steps, materials)

        base = fingerprint(upload.key, materials.data, options)
        checkpoints = Checkpoints(out_dir / "checkpoints", base, options.on_kept)
        if options.judging == "trial":
            materials = replace(materials, shared=SharedArrays(out_dir / "statistics", base))
        graph, reports = run_steps(recipe.steps, materials, checkpoints, artifact_path)

        artifact = finish(graph, reports, recipe.steps, materials)
        measured = compare_with_original(artifact.candidate, recipe, materials)
        artifact.hand_over(artifact_path, recipe, measured, materials)
        handed = None if package is None else hand_over(artifact_path, package, out_dir / ARTIFACT, materials)
        files = () if handed is None else handed.written.files
        report = assemble(upload, artifact_path, artifact.graph, artifact.reports, measured, materials, files)
        if handed is not None:
            report = handed.told_in(report, materials)
            report = report if loop is None else loop.told_in(report, handed.written, materials)
        if options.judging == "result":  # of a trial nobody asks why
            report = explain(report, recipe, materials)
        return write_results(report, artifact_path, recipe, materials, out_dir)
