"""`/jobs` and `/jobs/{id}`: what was asked, how it stands, what was tried, and what came of it."""

from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from app.api import events, jobs, trials, uploads
from app.api.deps import Owner, Parts, Service
from app.api.jobs import Found
from app.api.pages import Paged
from app.api.stored_reports import stored_report
from app.pages import plots
from app.pages.charts import MOST_POINTS
from app.pages.rendering import page
from app.pages.router import page_router
from app.storage import records
from app.storage.records import Page
from winnow.contract.errors import Refusal
from winnow.contract.job import FINISHED, JobRequest, JobState
from winnow.contract.presets import closed_job
from winnow.contract.report import Report
from winnow.contract.search import MAX_TRIALS

router = page_router()

LINES: Final = 200
"""Of the log: the first so many. The script adds what comes."""
TRIALS: Final = 200
"""So many are listed; all are drawn."""


@router.get("/jobs")
def show_jobs(
    request: Request,
    service: Service,
    owner: Owner,
    paged: Paged,
    state: Annotated[JobState | None, Query()] = None,
    model: Annotated[str | None, Query(min_length=1, max_length=100)] = None,
) -> Response:
    listed = jobs.list_jobs(request, service, owner, paged, state=state, model=model)
    return page(request, "jobs.html", jobs=listed.items, next=listed.next, state=state, model=model)


@router.get("/jobs/{id}")
def show_job(request: Request, service: Service, owner: Owner, job: Found) -> Response:
    shown = jobs.shown(service, job)
    lines = events.list_logs(request, service, job, limit=LINES)
    tried = trials.list_trials(request, service, job, Page(limit=MAX_TRIALS, after=None)).items
    model = service.records.upload(owner, "model", job.model)
    report = _report(service, job)
    chosen = None if report is None or report.search is None else report.search.chosen
    return page(
        request,
        "job.html",
        job=shown,
        is_over=job.state in FINISHED,
        model_name=None if model is None else uploads.clean(model.name),
        lines=lines.items,
        more=lines.next is not None,
        trials=tried[:TRIALS],
        tried=len(tried),
        report=report,
        has_page=job.page_sha256 is not None,
        asked=_requested(job),
        chosen=chosen,
        scatter=plots.scatter(tried, chosen),
        training=_training(service, job),
    )


def _requested(job: records.Job) -> dict[str, Any]:
    """Of the request what is not the default."""
    return JobRequest.model_validate(job.request).model_dump(mode="json", exclude_defaults=True)


def _report(parts: Parts, job: records.Job) -> Report | None:
    """None while there is none, and where it cannot be read."""
    try:
        return stored_report(parts, job)
    except Refusal:
        return None


def _training(parts: Parts, job: records.Job) -> plots.Curves | None:
    closed = closed_job(JobRequest.model_validate(job.request))
    if closed is None or not any(map(plots.trains, closed.recipe.steps)):
        return None
    return plots.training(parts.records.sampled_events(job.id, [*plots.LOSSES], MOST_POINTS))
