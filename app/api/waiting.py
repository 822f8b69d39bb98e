"""`?wait=SECONDS`: an answer that comes when the state has changed, or when so many seconds are over."""

import time
from collections.abc import Callable
from threading import BoundedSemaphore, Event
from typing import Annotated, Final, Protocol, TypeVar

import anyio
from fastapi import Query
from fastapi.concurrency import run_in_threadpool

from app.api.text import WRITTEN_WHOLE
from winnow.contract.job import FINISHED

MAX_WAIT_SECONDS: Final = 60
POLL_SECONDS: Final = 0.25
MAX_WAITING: Final = 64
"""Requests that wait at one time, each asking the database four times a second; further ones are answered at once."""

SETTLED: Final = FINISHED | {"ready", "rejected"}
"""States that do not change by themselves."""

_free_places: Final = BoundedSemaphore(MAX_WAITING)

Wait = Annotated[
    int,
    Query(
        ge=0,
        le=MAX_WAIT_SECONDS,
        description=f"Answer when the state has changed, or after so many seconds, at most {MAX_WAIT_SECONDS}: an "
        "upload is inspected, a job begins or ends.",
        examples=[10],
    ),
    WRITTEN_WHOLE,
]


class HasState(Protocol):
    @property
    def state(self) -> str: ...


R = TypeVar("R", bound=HasState)


async def state_changed(first: R, read: Callable[[], R | None], seconds: int, stopping: Event) -> R | None:
    """The record once its state is another than that of `first`, or as it stands after `seconds` or when the service
    stops; None where it was deleted meanwhile."""
    deadline = time.monotonic() + seconds
    if first.state in SETTLED or seconds == 0 or not _free_places.acquire(blocking=False):
        return first
    try:
        last: R | None = first
        while last is not None and last.state == first.state and time.monotonic() < deadline:
            if stopping.is_set():
                break
            await anyio.sleep(POLL_SECONDS)
            last = await run_in_threadpool(read)
        return last
    finally:
        _free_places.release()
