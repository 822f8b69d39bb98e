"""`/v1/jobs`"""

from typing import Annotated

from fastapi import Body, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import StringConstraints

from app.api import examples, views
from app.api.conditional import not_modified, unchanged
from app.api.deps import JobId, Owner, Parts, Service
from app.api.dry_run import dry_run as answer_dry_run
from app.api.pages import Listed, Paged, listed
from app.api.problems import Responses, documented
from app.api.quotas import check_job
from app.api.router import Router
from app.api.submission import KEY, LONGEST_KEY, submit
from app.api.text import WRITTEN_FLAG, Moment
from app.api.times import now, seconds
from app.api.views import Waiting
from app.api.waiting import Wait, state_changed
from app.api.waiting_for import may_wait, waiting_for
from app.storage import records
from app.storage.kinds import wake_of
from app.storage.ports import Conflict, Gone
from app.storage.records import JobFilter
from winnow.contract.dry_run import DryRun
from winnow.contract.errors import Refusal
from winnow.contract.job import FINISHED, Job, JobRequest, JobState
from winnow.contract.pinning import Pinning

router = Router(prefix="/v1/jobs", tags=["jobs"])

_REFUSED = (
    *("malformed_request", "unsupported_media_type", "not_found", "model_not_ready", "dataset_not_ready"),
    *("too_many_jobs", "quota_exceeded", "disk_full"),
    *("idempotency_conflict", "missing_data", "inputs_do_not_fit", "labels_do_not_fit", "unknown_output"),
    *("unknown_input", "already_quantized", "pattern_matches_nothing", "batch_size_fixed", "shape_needed"),
    *(
        "not_finite",
        "empty_slice",
        "slice_beyond_data",
        "not_quantized",
        "wrong_order",
        "one_graph_needed",
        "nothing_to_train",
        "nothing_to_compress",
        "does_not_divide",
        "teacher_does_not_fit",
        "target_unavailable",
        "target_cannot_run",
    ),
)


_DRY_RUN: Responses = {200: {"model": DryRun, "description": "With dry_run: whether it fits, and a forecast"}}


def _find(id: JobId, service: Service, owner: Owner) -> records.Job:
    job = service.records.job(owner, id)
    if job is None:
        raise no_job(id)
    return job


def no_job(id: str) -> Refusal:
    return Refusal("not_found", f"There is no job {id!r}; it may have been deleted.")


Found = Annotated[records.Job, Depends(_find)]
"""The job of the address. Raises `not_found`."""


def shown(parts: Parts, job: records.Job) -> Job:
    position = parts.records.queue_position(job.id) if job.state == "queued" else None
    return views.job(job, _wait_of(parts, job, position), _counts(parts, job))


def _wait_of(parts: Parts, job: records.Job, position: int | None) -> Waiting:
    if not may_wait(job):
        return Waiting()
    return Waiting(position, waiting_for(parts.records, [job], parts.live_workers.now()).get(job.id))


def _counts(parts: Parts, job: records.Job) -> dict[str, int]:
    """Of its trials, by state."""
    return parts.records.trial_counts([job.id]).get(job.id, {}) if job.searches else {}


@router.post(
    "",
    status_code=202,
    operation_id="submit_job",
    response_model=Job,
    responses=documented(*_REFUSED, also=_DRY_RUN),
)
async def submit_job(
    job_request: Annotated[JobRequest, Body(openapi_examples=examples.JOBS)],
    response: Response,
    service: Service,
    owner: Owner,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=LONGEST_KEY,
            pattern=KEY,
            description="The same key and body again answer the same job, until that is deleted.",
            examples=["8c4f6a52-5b1e-4d0e-9a36-0c7f0d4a9d11"],
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        Query(
            description="Only tell whether the job would be taken and what it would come to: 200, nothing is created.",
            examples=[True],
        ),
        WRITTEN_FLAG,
    ] = False,
    wait: Wait = 0,
) -> Job | Response:
    """Ask for a compression. What cannot work is refused here, with the path of the field."""
    if dry_run:
        forecast = await run_in_threadpool(answer_dry_run, service, owner, job_request)
        return Response(forecast.model_dump_json(), media_type="application/json")
    job, _ = await run_in_threadpool(submit, service, owner, job_request, idempotency_key)
    response.headers["location"] = f"/v1/jobs/{job.id}"
    job = await _moved(service, job, wait) or job
    return await run_in_threadpool(shown, service, job)


async def _moved(parts: Parts, job: records.Job, seconds: int) -> records.Job | None:
    return await state_changed(job, lambda: parts.records.job(job.owner, job.id), seconds, parts.stopping)


@router.get("", operation_id="list_jobs", responses=documented())
def list_jobs(
    request: Request,
    service: Service,
    owner: Owner,
    page: Paged,
    state: Annotated[
        JobState | None, Query(description="Only jobs in this state.", examples=["failed"])
    ] = None,
    model: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=100,
            description="Only jobs of the model with this id.",
            examples=[examples.MODEL],
        ),
    ] = None,
    tag: Annotated[
        list[Annotated[str, StringConstraints(max_length=401, pattern=r"^[\s\S][^:=]*[:=]")]] | None,
        Query(
            max_length=50,
            description="`key:value` or `key=value`; all must match.",
            examples=[["team:vision"]],
        ),
    ] = None,
    since: Annotated[
        Moment | None, Query(description="Created at or after (ISO 8601).", examples=["2026-01-31T12:00:00Z"])
    ] = None,
    until: Annotated[
        Moment | None, Query(description="Created before (ISO 8601).", examples=["2026-02-28T12:00:00Z"])
    ] = None,
) -> Listed[Job]:
    """Newest first; every filter narrows."""
    narrowed = JobFilter(
        state=state, model=model, tags=_tags(tag or []), since=seconds(since), until=seconds(until)
    )
    items, next = listed(
        request,
        page,
        "job",
        lambda p: service.records.jobs(owner, narrowed, p),
        lambda jobs: _shown(service, jobs),
    )
    return Listed(items=items, next=next)


def _shown(parts: Parts, jobs: list[records.Job]) -> list[Job]:
    """With the positions of all that are queued in one query, and the trials of all that search in another."""
    queued = [job for job in jobs if job.state == "queued"]
    positions = parts.records.queue_positions([job.id for job in queued])
    workers = parts.live_workers.now() if any(map(may_wait, jobs)) else []
    lacking = waiting_for(parts.records, jobs, workers)
    counts = parts.records.trial_counts([job.id for job in jobs if job.searches])
    return [
        views.job(job, Waiting(positions.get(job.id), lacking.get(job.id)), counts.get(job.id, {}))
        for job in jobs
    ]


def _tags(texts: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in texts:
        cut = min((at for at in (text.find(":"), text.find("=")) if at > 0), default=0)
        key, value = text[:cut], text[cut + 1 :]
        if not key or tags.setdefault(key, value) != value:
            detail = f"A tag is asked for as key:value, each key once; {text!r} is not."
            raise Refusal("invalid_request", detail, field="tag")
    return tags


@router.get("/{id}", operation_id="get_job", response_model=Job, responses=documented("not_found"))
async def get_job(request: Request, id: JobId, service: Service, owner: Owner, wait: Wait = 0) -> Response:
    """How it stands. With If-None-Match, 304 as long as nothing changed; Retry-After says when to ask again."""
    if wait:
        await _moved(service, await run_in_threadpool(_find, id, service, owner), wait)
    return await run_in_threadpool(_job_or_unchanged, request, service, owner, id)


def _job_or_unchanged(request: Request, service: Parts, owner: str, id: str) -> Response:
    found = service.records.job_in_queue(owner, id)
    if found is None:
        raise no_job(id)
    job, position = found
    wait_of, counts = _wait_of(service, job, position), _counts(service, job)
    tag = views.job_tag(job, wait_of, counts)
    headers = {"etag": tag, "cache-control": "no-cache"}
    if job.state not in FINISHED:
        headers["retry-after"] = str(min(max((job.seconds_left or 0) // 10, 1), 10))
    if unchanged(request, tag):
        return not_modified(tag, headers)
    return Response(
        views.job(job, wait_of, counts).model_dump_json(), media_type="application/json", headers=headers
    )


@router.post(
    "/{id}/cancel",
    status_code=202,
    operation_id="cancel_job",
    responses=documented("not_found", "job_finished"),
)
def cancel_job(id: JobId, service: Service, owner: Owner, job: Found) -> Job:
    """Stop it: at once when it waits, within two seconds when it runs. Cancelling twice does no harm."""
    try:
        changed = service.records.cancel_job(owner, id, now())
    except Conflict as error:
        raise Refusal("job_finished", f"There is nothing left to cancel: {error}.") from error
    return shown(service, changed or job)


@router.post(
    "/{id}/retry",
    status_code=202,
    operation_id="retry_job",
    responses=documented("not_found", "job_not_retryable", "too_many_jobs", "quota_exceeded", "disk_full"),
)
def retry_job(id: JobId, service: Service, owner: Owner, job: Found) -> Job:
    """Run a failed or cancelled job again; it goes on after its last finished step, a search with its trials."""
    check_job(service, owner)
    try:
        changed = service.records.retry_job(owner, id, now(), service.settings.max_attempts)
    except Gone as error:
        raise Refusal("job_not_retryable", f"It needs {error.id}, which was deleted.") from error
    except Conflict as error:
        detail = f"Only a failed or cancelled job can be retried: {error}. Submit a new one instead."
        raise Refusal("job_not_retryable", detail) from error
    service.queue.publish(wake_of(job))
    return shown(service, changed or job)


@router.patch(
    "/{id}",
    operation_id="pin_job",
    responses=documented("not_found", "malformed_request", "unsupported_media_type"),
    openapi_extra=examples.PINNING,
)
def pin_job(id: JobId, change: Pinning, service: Service, owner: Owner, job: Found) -> Job:
    """Keep it however old it is, with its model and its data, or no longer."""
    service.records.pin(owner, id, change.pinned)
    return shown(service, _find(id, service, owner))


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="delete_job",
    responses=documented("not_found", "job_not_finished"),
)
def delete_job(id: JobId, service: Service, owner: Owner, job: Found) -> None:
    """The job, its events, and all that it made; only when it has finished."""
    try:
        service.records.delete_job(owner, id)
    except Conflict as error:
        raise Refusal("job_not_finished", f"Cancel it first: {error}.") from error
