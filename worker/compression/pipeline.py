"""compress(): a model, a recipe and data in; a smaller or faster ONNX file and a measured report out."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from app.contract.recipe import AnyStep, Recipe
from app.contract.report import Report, StepReport
from worker.compression.assemble import assemble, lineage
from worker.compression.checkpoint import Checkpoints, fingerprint
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Data, Source
from worker.compression.files import bytes_of, sha256_of
from worker.compression.graph import store
from worker.compression.graph.facts import inputs_of
from worker.compression.graph.normalise import normalise
from worker.compression.graph.opset import opset_of
from worker.compression.graph.tidy import tidy
from worker.compression.inspection import open_model
from worker.compression.measure.compare import compare
from worker.compression.options import Options
from worker.compression.progress import Progress, Silent
from worker.compression.techniques import apply
from worker.compression.techniques.context import Context

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
    Raises `Refusal` for whatever cannot be done; its problem says why.
    """
    progress, options = progress or Silent(), options or Options()
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix="scratch-") as folder:
        scratch = Path(folder)
        source = sha256_of(model)
        baseline = open_model(model, scratch / "model", max_unpacked_bytes=options.max_unpacked_bytes)
        original = store.load(baseline)
        tidied = tidy(original)
        original = normalise(original)
        samples = _open(data, original, scratch, options)

        work = _Work(scratch, samples, progress, options.seed)
        kept = Checkpoints(out_dir / "checkpoints", fingerprint(source, data, options.seed))
        graph, steps = _run(original.clone(), recipe.steps, work, kept)

        tidy(graph)
        candidate = scratch / "candidate.onnx"
        store.save(graph, candidate)
        progress.step(len(recipe.steps), "measure")
        measured = compare(
            baseline,
            candidate,
            evaluation=samples.evaluation,
            calibration=samples.calibration,
            overlap=_overlap(data),
            metric=options.evaluation,
            benchmark=options.benchmark,
            seed=options.seed,
            progress=progress,
        )
        store.stamp(graph, lineage(source, recipe, options, measured))
        artifact = store.save_one_file(graph, out_dir / ARTIFACT)
        report = assemble(
            before=original,
            after=graph,
            sizes=(bytes_of(baseline), bytes_of(artifact)),
            hashes=(source, sha256_of(artifact)),
            tidied=tidied,
            steps=steps,
            measured=measured,
            options=options,
        )
    (out_dir / REPORT).write_text(report.model_dump_json(indent=1))
    return report


@dataclass(frozen=True)
class _Opened:
    calibration: Samples | None
    evaluation: Samples | None


@dataclass(frozen=True)
class _Work:
    """What every step is given."""

    scratch: Path
    samples: _Opened
    progress: Progress
    seed: int

    def context(self, index: int) -> Context:
        folder = self.scratch / f"step-{index}"
        folder.mkdir()
        return Context(folder, self.seed, self.progress, self.samples.calibration)


def _open(data: Data, model: ir.Model, scratch: Path, options: Options) -> _Opened:
    inputs = inputs_of(model)

    def opened(source: Source | None) -> Samples | None:
        if source is None:
            return None
        folder = scratch / "data" / sha256_of(source.path)
        folder.mkdir(parents=True, exist_ok=True)
        return open_samples(source, inputs, folder, max_unpacked_bytes=options.max_unpacked_bytes)

    return _Opened(opened(data.calibration), opened(data.evaluation))


def _run(
    graph: ir.Model, steps: Sequence[AnyStep], work: _Work, kept: Checkpoints
) -> tuple[ir.Model, list[StepReport]]:
    """All steps in order, going on after the last checkpoint."""
    reports: list[StepReport] = []
    if (last := kept.last(steps)) is not None:
        graph, reports = last
        work.progress.log(
            f"Going on after step {len(reports)} of {len(steps)}, finished by an earlier attempt."
        )
    for index in range(len(reports), len(steps)):
        graph, report = _step(graph, steps[index], index, work)
        kept.keep(graph, steps[: index + 1], report)
        reports.append(report)
    return graph, reports


def _step(graph: ir.Model, step: AnyStep, index: int, work: _Work) -> tuple[ir.Model, StepReport]:
    work.progress.step(index, step.kind)
    begun, context = time.monotonic(), work.context(index)
    changed = apply(graph, step, context)
    result = normalise(changed.model)
    path = context.scratch / "result.onnx"
    store.save(result, path)
    report = StepReport(
        index=index,
        kind=step.kind,
        seconds=time.monotonic() - begun,
        changed=changed.changed,
        candidates=changed.candidates,
        size_bytes=bytes_of(path),
        opset=opset_of(result),
        notes=changed.notes,
        details=changed.details,
    )
    work.progress.log(
        f"{step.kind}: {changed.changed} of {changed.candidates} nodes changed.", **_told(report)
    )
    for note in changed.notes:
        work.progress.log(note)
    return result, report


def _told(report: StepReport) -> dict[str, Any]:
    return {"changed": report.changed, "candidates": report.candidates, "size_bytes": report.size_bytes}


def _overlap(data: Data) -> bool:
    """Whether rows that calibrated are also judged on."""
    if data.calibration is None or data.evaluation is None:
        return False
    if sha256_of(data.calibration.path) != sha256_of(data.evaluation.path):
        return False
    (a, b), (c, d) = (source.slice or (0, 2**63) for source in (data.calibration, data.evaluation))
    return max(a, c) < min(b, d)
