"""What a job made: `/v1/jobs/{id}/artifact`, `/report` and `/curves`."""

from typing import Final

from fastapi import Request, Response

from app.api.accept import HTML, wants_html
from app.api.content import CONTENT, content, content_of
from app.api.deps import Parts, Service
from app.api.jobs import Found
from app.api.problems import Responses, documented
from app.api.reports import MADE_LATER, Raw, report_json, report_page
from app.api.router import Router
from app.api.uploads import clean, stem
from app.storage.records import Job
from winnow.contract.errors import Refusal
from winnow.contract.job import FINISHED, JobRequest
from winnow.contract.recipe import Recipe, Training
from winnow.contract.report import Report

router = Router(prefix="/v1/jobs", tags=["results"])

REPORTED: Final[Responses] = {
    200: {
        "model": Report,
        "description": "Before and after, measured",
        "content": {HTML: {"schema": {"type": "string"}, "example": "<!doctype html>…"}},
    }
}
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
    """The compressed ONNX, of a package the zip of its graphs: also when a requirement was not met, it is the best that
    was found.

    A job that failed with `training_diverged` has the best weights from before that; nobody measured them. With
    `Accept-Encoding: zstd` it comes in that coding, without ranges and under an ETag of its own.
    """
    sha256 = made(job, job.artifact_sha256)
    filename = f"{name_of(service, job)}-winnow{suffix_of(service, sha256)}"
    return content(request, service.blobs, sha256, filename, container=True)


@router.get(
    "/{id}/report",
    operation_id="get_report",
    response_class=Response,
    responses=documented(
        "not_found",
        "job_not_finished",
        "no_artifact",
        also=REPORTED,
    ),
)
def get_report(request: Request, service: Service, job: Found, raw: Raw = False) -> Response:
    """Everything that was measured, as JSON; to a browser (`Accept: text/html`) as a page, which asks for nothing and
    runs nothing."""
    if wants_html(request.headers):
        return show_page(request, service, job)
    return send_report(request, service, job, raw)


def send_report(request: Request, service: Parts, job: Job, raw: bool = False) -> Response:
    sha256 = made(job, job.report_sha256)
    return report_json(request, service.blobs, sha256, f"{name_of(service, job)}-winnow-report.json", raw)


def show_page(request: Request, service: Parts, job: Job) -> Response:
    return report_page(request, service.blobs, made_page(job))


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


def made_page(job: Job) -> str:
    """The hash of the page. Raises `job_not_finished`, `no_artifact`."""
    made(job, job.report_sha256)
    if job.page_sha256 is None:
        raise Refusal("no_artifact", f"The report was not made into a page. {MADE_LATER.format(job.id)}")
    return job.page_sha256


def suffix_of(service: Parts, sha256: str) -> str:
    """What a file of this content is called: one graph, or the zip of several."""
    file = service.blobs.open(sha256)
    if file is None:
        return ".onnx"
    with file:
        return ".zip" if file.read(2) == b"PK" else ".onnx"


def name_of(service: Service, job: Job) -> str:
    """After the model, or the job when the model is gone."""
    model = service.records.upload(job.owner, "model", job.model)
    return stem(clean(model.name)) if model else job.id
