"""The candidate beside the original: measured in this process, or in one of its own where the models are large."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from winnow.contract.recipe import Recipe
from worker.compression.data.source import ChosenRows, Data, Source
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
    remaining = _remaining(recipe, materials) if overlap and not options.extent.brief else None
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
            remaining,
            data.split is not None,
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
        remaining=materials.samples(remaining),
        split=data.split is not None,
    )


def _judges_on_used_rows(recipe: Recipe, materials: Materials) -> bool:
    """Whether rows that calibrated or trained are also judged on."""
    return any(_share_rows(source, materials.data.evaluation) for source in _used(recipe, materials.data))


def _used(recipe: Recipe, data: Data) -> list[Source]:
    trains = any("training" in step.needs for step in recipe.steps)
    return [source for source in (data.calibration, data.training if trains else None) if source is not None]


def _remaining(recipe: Recipe, materials: Materials) -> Source | None:
    """The evaluation rows that no step used, nor others of their groups; None where none remain."""
    evaluation = materials.data.evaluation
    samples = materials.samples(evaluation)
    if evaluation is None or samples is None:
        return None
    rows = np.asarray(samples.rows)
    groups = rows if samples.sequences is None else np.asarray(samples.sequences)[rows]
    used = [
        np.asarray(own.rows)
        for source in _used(recipe, materials.data)
        if _share_rows(source, evaluation) and (own := materials.samples(source)) is not None
    ]
    taken = np.isin(groups, groups[np.isin(rows, np.concatenate(used))])
    if taken.all():
        return None
    chosen = np.zeros(len(samples.columns[0].reader), bool)
    chosen[rows[~taken]] = True
    return replace(evaluation, slice=None, chosen=ChosenRows.where(chosen))


def _share_rows(source: Source | None, other: Source | None) -> bool:
    if source is None or other is None:
        return False
    if source.path != other.path and sha256_of(source.path) != sha256_of(other.path):
        return False
    return source.shares_rows(other)
