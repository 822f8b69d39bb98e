"""The page of a report that was made before: all of it is there, but what is measured for the page, and its fidelity
where its job was ended before that was."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data
from worker.compression.materials import Materials
from worker.compression.names import Names
from worker.compression.options import Options
from worker.compression.progress import Progress
from worker.compression.result.fidelity.attributions import Attributions
from worker.compression.result.fidelity.measured import measured_attributions
from worker.compression.result.page.write import write_page
from worker.compression.result.told import CUT_SHORT, NOT_MADE_UP_FOR
from worker.compression.upload.inspection import open_model
from worker.compression.upload.upload import open_upload

MAX_UNPACKED_BYTES: Final = Options().max_unpacked_bytes


@dataclass(frozen=True)
class JobFiles:
    """What the job was given: its model, data and options."""

    model: Path
    data: Data
    options: Options


def page_again(
    report: Path,
    artifact: Path,
    recipe: Recipe | None,
    job: JobFiles | None,
    out_dir: Path,
    progress: Progress,
    names: Names,
) -> None:
    """Write `page.html` into the folder. Raises `Refusal` `step_failed` where it cannot be made."""
    told = Report.model_validate_json(report.read_bytes(), extra="ignore")
    with tempfile.TemporaryDirectory(dir=out_dir, prefix="scratch-") as folder:
        materials = None if job is None else _opened(job, recipe, Path(folder), progress)
        if told.package is not None:
            limit = MAX_UNPACKED_BYTES if job is None else job.options.max_unpacked_bytes
            artifact = open_model(artifact, Path(folder) / "artifact", max_unpacked_bytes=limit)
        seen = Attributions()
        if materials is not None and materials.options.explain:
            seen = measured_attributions(artifact, materials)
            told = told if told.fidelity is not None else seen.told_in(told)
        elif CUT_SHORT.note in told.notes:
            told = NOT_MADE_UP_FOR.told_in(told)
        if not write_page(told, artifact, recipe, materials, out_dir, names, seen):
            raise Refusal("step_failed", "The page could not be made; the operator's log has the details.")


def _opened(job: JobFiles, recipe: Recipe | None, scratch: Path, progress: Progress) -> Materials:
    limit = job.options.max_unpacked_bytes
    upload = open_upload(job.model, scratch, max_unpacked_bytes=limit)
    upload = upload.for_steps([] if recipe is None else recipe.steps, job.data, scratch)
    return Materials(upload, job.data, scratch, scratch / "curves", progress, job.options).split()
