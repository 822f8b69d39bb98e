"""What a job made: `/v1/jobs/{id}/artifact`, `/report` and `/curves`."""

from typing import Final

from fastapi import Request, Response

from app.api.content import CONTENT, content, content_of
from app.api.deps import Service
from app.api.jobs import Found
from app.api.problems import documented
from app.api.router import Router
from app.api.uploads import clean, stem
from app.storage.records import Job
from winnow.contract.errors import Refusal
from winnow.contract.job import FINISHED, JobRequest
from winnow.contract.recipe import Recipe, Training
from winnow.contract.report import Report

router = Router(prefix="/v1/jobs", tags=["results"])

ZIP: Final = "application/zip"


@router.get(
    "/{id}/artifact",
    operation_id="download_artifact",
    response_class=Response,
    responses=documented(
        "not_found", "job_not_finished", "no_artifact", "range_not_satisfiable", also=CONTENT
    ),
)
def download_artifact(request: Request, service: Service, job: Found) -> Response:
    """The compressed ONNX: also when a requirement was not met, it is the best that was found.

    A job that failed with `training_diverged` has the best weights from before that; nobody measured them. With
    `Accept-Encoding: zstd` it comes in that coding, without ranges and under an ETag of its own.
    """
    sha256 = made(job, job.artifact_sha256)
    return content(request, service.blobs, sha256, f"{name_of(service, job)}-winnow.onnx", container=True)


@router.get(
    "/{id}/report",
    operation_id="get_report",
    response_class=Response,
    responses=documented(
        "not_found",
        "job_not_finished",
        "no_artifact",
        also={200: {"model": Report, "description": "Before and after, measured"}},
    ),
)
def get_report(request: Request, service: Service, job: Found) -> Response:
    """Everything that was measured, as JSON."""
    sha256 = made(job, job.report_sha256)
    filename = f"{name_of(service, job)}-winnow-report.json"
    return content(request, service.blobs, sha256, filename, "application/json")


@router.get(
    "/{id}/curves",
    operation_id="download_curves",
    response_class=Response,
    responses=documented(
        "not_found", "job_not_finished", "no_artifact", "range_not_satisfiable", also=content_of(ZIP)
    ),
)
def download_curves(request: Request, service: Service, job: Found) -> Response:
    """How the training went: a zip of TensorBoard event files, a folder for each step that trained."""
    if job.curves_sha256 is None and not _trains(job):
        raise Refusal("no_artifact", "No step of the job's recipe trains anything, so there are no curves.")
    sha256 = made(job, job.curves_sha256)
    return content(request, service.blobs, sha256, f"{name_of(service, job)}-winnow-curves.zip", ZIP)


def _trains(job: Job) -> bool:
    recipe = JobRequest.model_validate(job.request).recipe
    return isinstance(recipe, Recipe) and any(isinstance(step, Training) for step in recipe.steps)


def made(job: Job, sha256: str | None) -> str:
    """The hash of what the job made. Raises `job_not_finished`, `no_artifact`."""
    if sha256 is not None:
        return sha256
    if job.state not in FINISHED:
        raise Refusal("job_not_finished", f"The job is {job.state}. Wait until it has succeeded.")
    if job.artifact_sha256 is not None:
        why = "" if job.problem is None else " Its problem says why."
        raise Refusal(
            "no_artifact", f"The job {job.state} and left an artifact, but not what is asked for here.{why}"
        )
    why = "" if job.problem is None else "; its problem says why"
    ended = "has failed" if job.state == "failed" else f"was {job.state}"
    raise Refusal("no_artifact", f"The job {ended} and left nothing to download{why}.")


def name_of(service: Service, job: Job) -> str:
    """After the model, or the job when the model is gone."""
    model = service.records.upload(job.owner, "model", job.model)
    return stem(clean(model.name)) if model else job.id
