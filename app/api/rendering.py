"""`POST /v1/jobs/{id}/report/render`: the page of a report that has none, from before there were pages."""

from fastapi import Response
from fastapi.concurrency import run_in_threadpool

from app.api.artifacts import made
from app.api.deps import Parts, Service
from app.api.inquiries import LATER, SERVICE, ask, respond
from app.api.jobs import Found
from app.api.problems import documented
from app.api.router import Router
from app.api.times import now
from app.api.waiting import Wait
from app.storage.ids import new_id
from app.storage.records import Inquiry, Job
from app.tracing import current_origin
from winnow.contract.inquiry import Rendered

router = Router(prefix="/v1/jobs", tags=["results"])


@router.post(
    "/{id}/report/render",
    operation_id="render_report",
    response_model=Rendered,
    responses=documented(
        *("not_found", "job_not_finished", "no_artifact", "step_failed", "worker_lost"), also=LATER
    ),
)
async def render_report(service: Service, job: Found, wait: Wait = 0) -> Response | Rendered:
    """Have a worker make the page of a report that has none. What the job was given is measured again for it, as far as
    it is still there. Asked again it is not made again."""
    report = made(job, job.report_sha256)
    if job.page_sha256 is not None:
        return Rendered(job=job.id, page_sha256=job.page_sha256)
    return await respond(service, await run_in_threadpool(_ask_page, service, job, report), wait)


def _ask_page(parts: Parts, job: Job, report: str) -> Inquiry:
    asked = Inquiry(
        id=new_id("inq"),
        owner=job.owner,
        state="inspecting",
        created_at=now(),
        max_attempts=parts.settings.max_attempts,
        origin=current_origin(),
        kind="page",
        job=job.id,
        question={"service": SERVICE, "report": report},
    )
    return ask(parts, asked)
