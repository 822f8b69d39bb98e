"""Links that open one thing of a job for whoever has them, until they expire.

`POST /v1/jobs/{id}/links` signs one, `GET /v1/links/{id}/{what}` opens it. What was signed stands in the query: logs
name paths only.
"""

import time
from typing import Annotated, Final, assert_never

from fastapi import Path, Query, Request, Response

from app.access.links import check_link, link_secret, sign
from app.api import artifacts
from app.api.content import CONTENT
from app.api.deps import JobId, Service
from app.api.jobs import Found, no_job
from app.api.problems import Responses, documented
from app.api.router import Router
from app.api.text import WRITTEN_WHOLE
from app.api.times import at
from app.storage.records import Job
from winnow.contract.access import Link, Linked, LinkRequest
from winnow.contract.report import Report

router = Router(prefix="/v1/jobs", tags=["results"])
opened = Router(prefix="/v1/links", tags=["results"], access="open")

MAX_SECONDS: Final = 2**35
OPENED: Final[Responses] = {
    **CONTENT,
    200: {
        "model": Report,
        "description": "The artifact's bytes, the report, or its page",
        "content": CONTENT[200]["content"],
    },
}


@router.post(
    "/{id}/links",
    status_code=201,
    operation_id="make_link",
    responses=documented(
        "not_found", "job_not_finished", "no_artifact", "malformed_request", "unsupported_media_type"
    ),
)
def make_link(wanted: LinkRequest, request: Request, service: Service, job: Found) -> Link:
    """For a colleague who has no key: an address that opens this one thing until it expires."""
    _check_made(job, wanted.what)
    expires = int(time.time()) + wanted.seconds
    signed = sign(link_secret(service.records), job.id, wanted.what, expires)
    address = f"/v1/links/{job.id}/{wanted.what}?expires={expires}&signature={signed}"
    return Link(url=f"{request.url.scheme}://{request.headers['host']}{address}", expires_at=at(expires))


@opened.get(
    "/{id}/{what}",
    operation_id="open_link",
    response_class=Response,
    responses=documented(
        *("link_invalid", "link_expired", "not_found", "job_not_finished", "no_artifact"),
        "range_not_satisfiable",
        also=OPENED,
    ),
)
def open_link(
    id: JobId,
    what: Annotated[Linked, Path(description="What it opens.", examples=["artifact"])],
    request: Request,
    service: Service,
    expires: Annotated[
        int,
        Query(
            ge=0,
            le=MAX_SECONDS,
            description="When it ends, in seconds since the epoch.",
            examples=[1796200000],
        ),
        WRITTEN_WHOLE,
    ],
    signature: Annotated[
        str,
        Query(
            pattern="^[A-Za-z0-9_-]{43}$",
            description="Of the service that made the link.",
            examples=["q1wnVv0xS8oZ2Yk6rT4uB7eM9aC3dF5gH1jK0lPiQsU"],
        ),
    ],
) -> Response:
    """What a link leads to. It needs no key."""
    check_link(link_secret(service.records), id, what, expires, signature, time.time())
    job = service.records.any_job(id)
    if job is None:
        raise no_job(id)
    match what:
        case "artifact":
            return artifacts.download_artifact(request, service, job)
        case "report":
            return artifacts.send_report(request, service, job)
        case "page":
            return artifacts.show_page(request, service, job)
        case _:
            assert_never(what)


def _check_made(job: Job, what: Linked) -> None:
    """Raises `job_not_finished`, `no_artifact`."""
    if what == "page":
        artifacts.made_page(job)
    else:
        artifacts.made(job, job.artifact_sha256 if what == "artifact" else job.report_sha256)
