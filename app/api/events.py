"""What happens to a job: `/v1/jobs/{id}/events` as it happens, `/v1/jobs/{id}/logs` in pages."""

import time
from collections.abc import AsyncIterator
from threading import BoundedSemaphore
from typing import Annotated, Final

import anyio
from fastapi import Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.types import Receive, Scope, Send

from app.api.deps import Owner, Parts, Service
from app.api.jobs import Found
from app.api.pages import Listed, link
from app.api.problems import documented
from app.api.router import Router
from app.api.text import WRITTEN_WHOLE
from app.api.times import at
from app.storage.records import Event, Job
from winnow.contract.errors import Refusal
from winnow.contract.job import FINISHED, LogRecord

router = Router(prefix="/v1/jobs", tags=["results"])
streams = Router(streams=True, prefix="/v1/jobs", tags=["results"])

POLL_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 15.0
BATCH: Final = 200
INT64: Final = 2**63 - 1
MOST_STREAMS: Final = 64
"""Each asks the database four times a second, and holds a connection for as long as its job takes."""

_free_streams: Final = BoundedSemaphore(MOST_STREAMS)

EVENT: Final = (
    'event: state\ndata: {"id":14,"event":"state","message":"finished","values":{"state":"succeeded"}}\n'
    "id: 14\n\n"
)
"""An example, without the fields that a LogRecord has beside these."""

ITEM: Final = {
    "type": "object",
    "description": "One server-sent event.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Of the record; for Last-Event-ID.", "examples": ["14"]},
        "event": {"type": "string", "description": "The record's `event`.", "examples": ["state"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/LogRecord"},
            "description": "The LogRecord as JSON.",
            "examples": ['{"id":14,"event":"state","message":"finished"}'],
        },
    },
}

After = Annotated[
    int, Query(ge=0, le=INT64, description="Only what came after this id.", examples=[14]), WRITTEN_WHOLE
]


@router.get("/{id}/logs", operation_id="list_logs", responses=documented("not_found"))
def list_logs(
    request: Request,
    service: Service,
    job: Found,
    after: After = 0,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="Records in one page.", examples=[200]), WRITTEN_WHOLE
    ] = 200,
) -> Listed[LogRecord]:
    """Oldest first: states, progress, and what the steps had to say."""
    found = service.records.events(job.id, after, limit + 1)
    more = len(found) > limit
    items = [_record(event) for event in found[:limit]]
    return Listed(items=items, next=link(request, after=items[-1].id) if more else None)


@streams.get(
    "/{id}/events",
    operation_id="follow_events",
    response_class=StreamingResponse,
    responses=documented(
        "not_found",
        "too_busy",
        also={
            200: {
                "description": "Server-sent events: `id`, `event` (state, progress or log), `data` (a LogRecord)",
                "content": {"text/event-stream": {"itemSchema": ITEM, "example": EVENT}},
            },
            204: {
                "description": "The job has finished and nothing came after Last-Event-ID: do not reconnect"
            },
        },
    ),
)
async def follow_events(
    service: Service,
    owner: Owner,
    job: Found,
    after: After = 0,
    last_event_id: Annotated[
        int | None,
        Header(ge=0, le=INT64, description="Go on after this event.", examples=[14]),
        WRITTEN_WHOLE,
    ] = None,
) -> Response:
    """The job's events as they happen; the stream ends after the one that ends the job."""
    start = after if last_event_id is None else last_event_id
    if job.state in FINISHED and not await run_in_threadpool(service.records.events, job.id, start, 1):
        return Response(status_code=204)
    if not _free_streams.acquire(blocking=False):
        raise Refusal(
            "too_busy", f"{MOST_STREAMS} streams of events are open already. Ask for the logs instead."
        )
    return _BoundedStream(
        _stream(service, owner, job, start),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


class _BoundedStream(StreamingResponse):
    """One of `MOST_STREAMS`, until it ends in whatever way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            _free_streams.release()


async def _stream(parts: Parts, owner: str, job: Job | None, after: int) -> AsyncIterator[bytes]:
    """The job is read before its events: once it is seen finished, no event can come after those then read."""
    spoke = time.monotonic()
    while job is not None and not parts.stopping.is_set():
        events = await run_in_threadpool(parts.records.events, job.id, after, BATCH)
        for event in events:
            after, spoke = event.id, time.monotonic()
            yield _sent(event)
        if len(events) == BATCH:
            continue
        if job.state in FINISHED:
            return
        if time.monotonic() - spoke > HEARTBEAT_SECONDS:
            spoke = time.monotonic()
            yield KEEPALIVE_COMMENT
        await anyio.sleep(POLL_SECONDS)
        job = await run_in_threadpool(parts.records.job, owner, job.id)


def _sent(event: Event) -> bytes:
    return format_sse_event(id=str(event.id), event=event.type, data_str=_record(event).model_dump_json())


def _record(event: Event) -> LogRecord:
    return LogRecord.model_validate(
        {
            "id": event.id,
            "time": at(event.time),
            "attempt": event.attempt,
            "level": event.level,
            "event": event.type,
            "step": event.step,
            "message": event.message,
            "values": event.values,
        }
    )
