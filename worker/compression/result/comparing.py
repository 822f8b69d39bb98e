"""The candidate beside the original: measured in this process, or in one of its own where the models are large."""

from pathlib import Path

from winnow.contract.recipe import Recipe
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.materials import Materials
from worker.compression.measure.apart.processes import Comparing, Comparison
from worker.compression.measure.compare import compare
from worker.compression.measure.compare_apart import compare_apart
from worker.compression.onnx_files.sizes import sha256_of


def compare_with_original(candidate: Path, recipe: Recipe, materials: Materials) -> Comparison:
    """Measure size, speed, quality, parity and memory of both. Raises what `compare` raises."""
    upload, data, options = materials.upload, materials.data, materials.options
    overlap = _judges_on_used_rows(recipe, materials)
    materials.progress.step(len(recipe.steps), "measure")
    if upload.is_large:
        comparing = Comparing(
            upload.path,
            candidate,
            inputs_of(upload.float32),
            data.evaluation,
            data.calibration,
            overlap,
            options.evaluation,
            options.benchmark,
            options.seed,
            options.max_unpacked_bytes,
            options.extent,
            options.target,
        )
        return compare_apart(comparing, materials.scratch, materials.progress, options.processes)
    return compare(
        upload.path,
        candidate,
        evaluation=materials.samples(data.evaluation),
        calibration=materials.samples(data.calibration),
        overlap=overlap,
        metric=options.evaluation,
        benchmark=options.benchmark,
        seed=options.seed,
        progress=materials.progress,
        processes=options.processes,
        extent=options.extent,
        target=options.target,
    )


def _judges_on_used_rows(recipe: Recipe, materials: Materials) -> bool:
    """Whether rows that calibrated or trained are also judged on."""
    data = materials.data
    trains = any("training" in step.needs for step in recipe.steps)
    used = (data.calibration, data.training if trains else None)
    return any(_share_rows(source, data.evaluation) for source in used)


def _share_rows(source: Source | None, other: Source | None) -> bool:
    if source is None or other is None:
        return False
    if source.path != other.path and sha256_of(source.path) != sha256_of(other.path):
        return False
    return source.shares_rows(other)
