"""The end of a search: of the trials that are still in question the fastest, judged on data that no choice has seen."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from winnow.contract.errors import Refusal
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from winnow.contract.search import Objective, SearchReport
from worker.compression.data.source import Data
from worker.compression.materials import Materials
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import Timed, time_candidates
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import ARTIFACT
from worker.compression.progress import Progress
from worker.compression.result.artifact import Artifact, finish
from worker.compression.result.comparing import compare_with_original
from worker.compression.result.explain import explain
from worker.compression.result.report import assemble
from worker.compression.result.told import write_results
from worker.compression.upload.upload import open_upload

Tidied = Callable[[], Artifact]
"""The upload as it is handed over where nothing is better; made where it is asked for."""


@dataclass(frozen=True)
class Finalist:
    """A finished trial: its number, files, and closed recipe."""

    number: int
    artifact: Path
    report: Path
    recipe: Recipe


def judge_final(
    model: Path,
    finalists: Sequence[Finalist],
    search: SearchReport,
    data: Data,
    out_dir: Path,
    progress: Progress,
    *,
    options: Options,
) -> Report:
    """Time the finalists where there are several, and judge the chosen one alone. The upload, tidied, where there is
    none, or where the chosen one misses what the upload meets.

    `search` tells of the search, apart from what is chosen here.
    Writes `artifact.onnx`, whose graph is the trial's byte by byte, and `report.json` into `out_dir`, and
    `page.html` where it is asked for. Raises `Refusal`.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix="scratch-") as folder:
        scratch = Path(folder)
        upload = open_upload(model, scratch, max_unpacked_bytes=options.max_unpacked_bytes)
        materials = Materials(upload, data, scratch, out_dir / "curves", progress, options).split()
        tidied = cache(lambda: finish(upload.float32, [], [], materials))
        chosen = _choose(finalists, search.objective, tidied, materials)
        if chosen is None:
            progress.log("Nothing better than the upload was found: it is handed over as it is, tidied.")
            report = _judge_upload(out_dir / ARTIFACT, search, tidied, materials)
        else:
            report = _judge_trial(chosen, out_dir / ARTIFACT, search, materials)
            if _misses(report) and _is_small_enough(materials):
                report = _or_the_upload(report, out_dir / ARTIFACT, tidied, materials)
        recipe = None if report.search is None else report.search.recipe
        return write_results(report, out_dir / ARTIFACT, recipe, materials, out_dir)


def _judge_upload(path: Path, search: SearchReport, tidied: Tidied, materials: Materials) -> Report:
    report = _judge(tidied(), Recipe.model_construct(steps=[]), path, materials)
    return report.model_copy(update={"search": search})


def _judge_trial(chosen: Finalist, path: Path, search: SearchReport, materials: Materials) -> Report:
    """What the trial has said of its graph, before zeros were packed, stands."""
    trial, recipe = _report(chosen), chosen.recipe
    upload = materials.upload.with_sizes(recipe.steps, materials.scratch)
    materials = replace(materials, upload=upload)
    effective = [step for step, done in zip(recipe.steps, trial.steps, strict=True) if done.changed]
    artifact = Artifact(model_files.load(chosen.artifact), chosen.artifact, effective, trial.steps)
    known: dict[str, Any] = {
        name: getattr(trial, name) for name in ("parameters", "macs", "sparsity", "layers", "opset")
    }
    known["search"] = search.model_copy(update={"chosen": chosen.number, "recipe": recipe})
    report = _judge(artifact, recipe, path, materials).model_copy(update=known)
    return explain(report, recipe, materials)


def _judge(artifact: Artifact, recipe: Recipe, path: Path, materials: Materials) -> Report:
    measured = compare_with_original(artifact.candidate, recipe, materials)
    artifact.stamp(path, recipe, measured, materials)
    return assemble(materials.upload, path, artifact.graph, artifact.reports, measured, materials)


def _or_the_upload(missed: Report, path: Path, tidied: Tidied, materials: Materials) -> Report:
    """Judge the upload too, and hand it over where it meets everything; it was not chosen by any data."""
    assert missed.search is not None
    why = " ".join(entry.why or entry.name for entry in missed.requirements if not entry.met)
    said = f"Trial {missed.search.chosen}, which was chosen, misses what is required on the final part. {why}"
    materials.progress.log(said)
    sentences = [*missed.search.sentences, said, "The upload, tidied, meets it, and is the result."]
    told = missed.search.model_copy(update={"chosen": None, "recipe": None, "sentences": sentences})
    with tempfile.TemporaryDirectory(dir=materials.scratch) as folder:
        report = _judge_upload(Path(folder) / ARTIFACT, told, tidied, materials)
        if _misses(report):
            return missed
        (Path(folder) / ARTIFACT).replace(path)
    return report


def _misses(report: Report) -> bool:
    return report.outcome == "requirements_not_met"


def _report(finalist: Finalist) -> Report:
    """Read the report of a trial. Raises `Refusal` `step_failed` where its artifact is another one."""
    report = Report.model_validate_json(finalist.report.read_bytes())
    if report.graph_sha256 != graph_sha256(finalist.artifact):
        raise Refusal("step_failed", f"The report of trial {finalist.number} tells of another artifact.")
    return report


def _choose(
    finalists: Sequence[Finalist], objective: Objective, tidied: Tidied, materials: Materials
) -> Finalist | None:
    """The first, unless time decides: then the one with the best lower bound; the first of those that are equal.

    None where the upload is better, tidied: speed was wanted most, none is faster than both beyond doubt, and nothing
    required keeps it out.
    """
    by_time = objective == "latency"
    if not finalists or (len(finalists) == 1 and not by_time):
        return finalists[0] if finalists else None
    original, upload, *timed = _timed(finalists, tidied().candidate, materials)
    for finalist, entry in zip(finalists, timed, strict=True):
        result = entry.untold or f"{entry.speedup:.2f} times as fast as the original"
        materials.progress.log(f"Trial {finalist.number}: {result}.")
    if original.untold is not None:
        return finalists[0]
    if not by_time:  # they come in the order of the objective, and only have to be fast enough
        enough = (each for each, entry in zip(finalists, timed, strict=True) if _is_enough(entry, materials))
        return next(enough, finalists[0])
    best = max(range(len(timed)), key=lambda index: timed[index].interval[0])
    if timed[best].interval[0] <= max(1.0, upload.interval[0]) and _upload_will_do(upload, materials):
        return None
    return finalists[best]


def _is_enough(timed: Timed, materials: Materials) -> bool:
    require = materials.options.require
    in_time = require.max_latency_ms is None or timed.milliseconds <= require.max_latency_ms
    return in_time and (require.min_speedup is None or timed.interval[0] >= require.min_speedup)


def _upload_will_do(tidied: Timed, materials: Materials) -> bool:
    """Whether the upload, tidied, meets what is required of speed, size and memory; its outputs are its own."""
    unknown = materials.options.require.max_memory_bytes is not None
    return not unknown and _is_small_enough(materials) and _is_enough(tidied, materials)


def _is_small_enough(materials: Materials) -> bool:
    require, size = materials.options.require, materials.upload.size_bytes
    return (require.max_size_ratio or 1.0) >= 1 and (require.max_size_bytes or size) >= size


def _timed(finalists: Sequence[Finalist], tidied: Path, materials: Materials) -> list[Timed]:
    """The upload, the upload as tidied, and all finalists."""
    benchmark, upload = materials.options.benchmark, materials.upload
    paths = [upload.path, tidied, *(finalist.artifact for finalist in finalists)]
    names = [
        "the original model",
        "the original, tidied",
        *(f"trial {finalist.number}" for finalist in finalists),
    ]
    threads, target = benchmark.thread_counts[0], materials.options.target
    networks = [Network(path, threads, name, target=target) for path, name in zip(paths, names, strict=True)]
    for network in networks[1:]:
        networks[0].narrow(network.inputs)
    samples = materials.samples(materials.data.evaluation or materials.data.calibration)
    feed, _ = benchmark_feed(
        networks[0].inputs, benchmark.batch_sizes[0], benchmark.shapes, samples, materials.options.seed
    )
    return time_candidates(networks, feed, materials.options.seed, materials.progress)
