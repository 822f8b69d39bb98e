"""From the graph after the last step to the file that is handed over."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from winnow.contract.graph_hash import graph_sha256
from winnow.contract.recipe import AnyStep, Recipe
from winnow.contract.report import StepReport
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.half_precision.float_types import restore_float_types
from worker.compression.materials import Materials
from worker.compression.measure.apart.processes import Comparison
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.restamp import restamp
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.result import storage
from worker.compression.result.report import lineage
from worker.compression.steps.opset import returned


@dataclass(frozen=True)
class Artifact:
    """`candidate` is the file as it is measured; the artifact is the same graph, and says what was measured.

    `effective` are the steps that changed something: they decide how weights are stored. `reports` tell of all steps,
    the last with what was done to the graph after it.
    """

    graph: ir.Model
    candidate: Path
    effective: list[AnyStep]
    reports: list[StepReport]

    def hand_over(self, path: Path, recipe: Recipe, measured: Comparison, materials: Materials) -> None:
        """Write the artifact with its lineage, or without where that alone would make it larger than the upload."""
        upload = materials.upload
        facts = lineage(upload.sha256, recipe, materials.options, measured, graph_sha256(self.candidate))
        model_files.stamp(self.graph, facts)
        storage.write(self.graph, path, self.effective, upload.names)
        limit = upload.size_bytes
        if bytes_of(path) > limit and (not self.effective or bytes_of(self.candidate) <= limit):
            shutil.copyfile(self.candidate, path)

    def stamp(self, path: Path, recipe: Recipe, measured: Comparison, materials: Materials) -> None:
        """Write the candidate again, byte by byte, with its lineage; without where that alone would make it larger than
        the upload."""
        upload, graph = materials.upload, graph_sha256(self.candidate)
        restamp(self.candidate, lineage(upload.sha256, recipe, materials.options, measured, graph), path)
        if bytes_of(path) > upload.size_bytes:
            restamp(self.candidate, {}, path)


def finish(
    graph: ir.Model, reports: list[StepReport], steps: Sequence[AnyStep], materials: Materials
) -> Artifact:
    """Give the graph the upload's float types, opset, inputs and outputs back, as far as it can have them; write it.

    The upload itself where no step changed anything: a normal form is for steps that do something.
    """
    upload = materials.upload
    effective = [step for step, report in zip(steps, reports, strict=True) if report.changed]
    if effective:
        reports = _with_notes(reports, restore_float_types(graph, materials.types(steps)))
        graph, notes = storage.with_packing_opset(upload.whole(graph), effective)
        reports = _with_notes(reports, notes)
    else:
        graph = model_files.load(upload.path)
    tidy(graph)
    floor = storage.least_opset(effective)
    reports = _with_notes(reports, returned(graph, upload.normal_form, floor))
    materials.signature(steps).restore(graph)
    candidate = materials.scratch / "candidate.onnx"
    packing = storage.write(graph, candidate, effective, upload.names)
    return Artifact(graph, candidate, effective, storage.with_storage_told(reports, steps, packing))


def _with_notes(reports: list[StepReport], notes: list[str]) -> list[StepReport]:
    """What was done to the artifact after the last step is told there."""
    if not notes or not reports:
        return reports
    return [*reports[:-1], reports[-1].model_copy(update={"notes": [*reports[-1].notes, *notes]})]
