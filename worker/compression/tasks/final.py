"""The end of a search: its last trials, judged one after the other on data that no choice has seen.

The order stands before that data is looked at: the surest first, each next one less sure and cheaper. While they hold
the next is judged; what is handed over is the last that holds. So the chance of handing over what does not hold is that
of one judgement, however many there are (fixed sequence testing, as in Angelopoulos et al., Learn then Test, 2021,
arXiv:2110.01052; 0045).
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from winnow.contract.errors import Refusal
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from winnow.contract.search import SearchReport
from worker.compression.data.source import Data
from worker.compression.materials import Materials
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import ARTIFACT
from worker.compression.progress import Progress
from worker.compression.result.artifact import Artifact, finish
from worker.compression.result.comparing import compare_with_original
from worker.compression.result.explain import explain
from worker.compression.result.report import assemble
from worker.compression.result.told import write_results
from worker.compression.tasks.order import Finalist, Tidied, in_order, is_small_enough
from worker.compression.upload.upload import open_upload


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
    """Time the finalists where time counts or there are several, and judge them in order while they hold. The upload,
    tidied, where there is none, or where the first misses what the upload meets.

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
        order = in_order(finalists, search.objective, tidied, materials)
        if not order:
            progress.log("Nothing better than the upload was found: it is handed over as it is, tidied.")
            report = _judge_upload(out_dir / ARTIFACT, search, tidied, materials)
        else:
            report = _judge_trial(order[0], out_dir / ARTIFACT, search, materials)
            if not _misses(report):
                report = _last_that_holds(report, order[1:], out_dir / ARTIFACT, materials)
            elif is_small_enough(materials):
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


def _last_that_holds(held: Report, order: Sequence[Finalist], path: Path, materials: Materials) -> Report:
    """Judge one after the other, and stop at the first that misses what is required: no later one counts then."""
    for finalist in order:
        assert held.search is not None
        with tempfile.TemporaryDirectory(dir=materials.scratch) as folder:
            report = _judge_trial(finalist, Path(folder) / ARTIFACT, held.search, materials)
            assert report.search is not None
            if _misses(report):
                said = (
                    f"Trial {finalist.number}, which costs less and was less sure, misses what is required on the "
                    f"final part, where trial {held.search.chosen} holds. {_why(report)}"
                )
                return held.model_copy(update={"search": _saying(held.search, said, materials)})
            said = f"Trial {finalist.number} costs less than trial {held.search.chosen}, and holds there too."
            held = report.model_copy(update={"search": _saying(report.search, said, materials)})
            (Path(folder) / ARTIFACT).replace(path)
    return held


def _saying(search: SearchReport, said: str, materials: Materials) -> SearchReport:
    """Log a sentence, and add it to those of the search."""
    materials.progress.log(said)
    return search.model_copy(update={"sentences": [*search.sentences, said]})


def _or_the_upload(missed: Report, path: Path, tidied: Tidied, materials: Materials) -> Report:
    """Judge the upload too, and hand it over where it meets everything; it was not chosen by any data."""
    assert missed.search is not None
    said = f"Trial {missed.search.chosen}, which was chosen, misses what is required on the final part. {_why(missed)}"
    told = _saying(missed.search, said, materials)
    sentences = [*told.sentences, "The upload, tidied, meets it, and is the result."]
    told = told.model_copy(update={"chosen": None, "recipe": None, "sentences": sentences})
    with tempfile.TemporaryDirectory(dir=materials.scratch) as folder:
        report = _judge_upload(Path(folder) / ARTIFACT, told, tidied, materials)
        if _misses(report):
            return missed
        (Path(folder) / ARTIFACT).replace(path)
    return report


def _misses(report: Report) -> bool:
    return report.outcome == "requirements_not_met"


def _why(missed: Report) -> str:
    return " ".join(entry.why or entry.name for entry in missed.requirements if not entry.met)


def _report(finalist: Finalist) -> Report:
    """Read the report of a trial. Raises `Refusal` `step_failed` where its artifact is another one."""
    report = Report.model_validate_json(finalist.report.read_bytes())
    if report.graph_sha256 != graph_sha256(finalist.artifact):
        raise Refusal("step_failed", f"The report of trial {finalist.number} tells of another artifact.")
    return report
