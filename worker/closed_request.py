"""What a job was asked to do once nothing of it is open: a preset written out, a search's choice."""

from pathlib import Path

from pydantic import ValidationError

from app.storage.records import Job
from winnow.contract.errors import Refusal
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.presets import closed_job
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report


def read_stored(report: Path, id: str) -> Report:
    """Fields that are no longer there are ignored. Raises `step_failed` for a report that this version cannot read."""
    try:
        return Report.model_validate_json(report.read_bytes(), extra="ignore")
    except ValidationError as error:
        detail = f"The report of {id} is not as this version writes it, so no page can be made of it."
        raise Refusal("step_failed", detail) from error


def done_request(job: Job, report: Report) -> ClosedJob:
    """What was done in the end: of a search the recipe that it chose, no step where that is the upload."""
    request = JobRequest.model_validate(job.request)
    if not job.searches:
        return closed_request(job)
    chosen = None if report.search is None else report.search.recipe
    return request.closed(chosen or Recipe.model_construct(steps=[]))


def closed_request(job: Job) -> ClosedJob:
    """What a job that does not search was asked for, a preset written out."""
    closed = closed_job(JobRequest.model_validate(job.request))
    assert closed is not None, "a job that searches is done by its trials"
    return closed
