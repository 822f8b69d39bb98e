"""The trials of a search that is imported: rows made of what was understood, shown once before they are kept.

What was measured of a trial is taken from its report, nowhere else: so both say the same.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from app.api import trials
from app.api.imported_files import ImportedFiles
from app.storage.ids import new_id
from app.storage.records import Job, Trial
from winnow.contract.errors import Refusal
from winnow.contract.exported import ARTIFACT, REPORT, TRIAL, ExportedJob, ExportedTrial, of_trial
from winnow.contract.other_models import named_models
from winnow.contract.recipe import Recipe
from winnow.contract.strict_json import read_json, read_model
from winnow.contract.trial_result import result_of

MAX_TRIAL_BYTES: Final = 2**20
"""As of a job: a trial's recipe names layers as the job's may."""
MAX_KEPT_BYTES: Final = 2**24
"""Of all trials of a job together, as JSON: their files alone may be larger."""


def check_trials(exported: ExportedJob) -> None:
    """Whether the files of its trials fit to each other and to the job. Raises `invalid_request`."""
    if exported.trials and isinstance(exported.request.recipe, Recipe):
        raise Refusal("invalid_request", "Its recipe leaves nothing open: it has no trials.", field="files")
    for number in exported.trials:
        has = {name for name in (TRIAL, ARTIFACT, REPORT) if of_trial(number, name) in exported.files}
        if TRIAL not in has or len(has) == 2:
            detail = f"A trial has {TRIAL}, and {ARTIFACT} and {REPORT} both or neither; {number} has {sorted(has)}."
            raise Refusal("invalid_request", detail, field=f"files.trials/{number}")


def imported_trials(files: ImportedFiles, exported: ExportedJob, job: Job) -> Iterator[Trial]:
    """Raises what `ImportedFiles` does, and `invalid_request`, `not_found`."""
    left = MAX_KEPT_BYTES
    for number in exported.trials:
        where = of_trial(number, TRIAL)
        content = files.read(where, MAX_TRIAL_BYTES)
        told = read_model(ExportedTrial, content, where)
        _check_models(told, job, where)
        made = _made(files, number) if of_trial(number, ARTIFACT) in exported.files else {}
        left -= len(content) + len(json.dumps(made))
        if left < 0:
            detail = f"What is told of all trials has more than {MAX_KEPT_BYTES} bytes."
            raise Refusal("invalid_request", detail, field=where)
        trial = Trial(
            id=new_id("trl"),
            owner=job.owner,
            job=job.id,
            number=number,
            created_at=job.created_at,
            origin=job.origin,
            **told.model_dump(mode="json"),
            **made,
        )
        yield _shown_once(trial, where)


def _check_models(trial: ExportedTrial, job: Job, where: str) -> None:
    """A trial uses nothing that its job does not. Raises `not_found`."""
    for id, field in named_models(trial.recipe).items() if trial.recipe is not None else ():
        if id not in job.uses:
            raise Refusal("not_found", f"The job names no model {id!r}.", field=f"{where}.{field}")


def _made(files: ImportedFiles, number: int) -> dict[str, Any]:
    """The result as every database can keep it: no text or number that none can."""
    name = of_trial(number, REPORT)
    report = files.report(name)
    artifact_sha256, artifact_bytes = files.keep(of_trial(number, ARTIFACT))
    return {
        "artifact_sha256": artifact_sha256,
        "artifact_bytes": artifact_bytes,
        "report_sha256": files.keep(name)[0],
        "graph_sha256": report.graph_sha256,
        "result": read_json(json.dumps(result_of(report)), name),
    }


def _shown_once(trial: Trial, where: str) -> Trial:
    """Raises `invalid_request` where it cannot be shown, as of numbers that are none."""
    try:
        trials.shown(trial, in_front=False)
        trials.front([trial])
    except (ValidationError, ArithmeticError) as error:
        detail = f"What its report says cannot be shown as a trial ({type(error).__name__})."
        raise Refusal("invalid_request", detail, field=where) from error
    return trial
