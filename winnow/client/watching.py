"""Polling that is cheap (ETag, 304), backs off while nothing changes, and outlasts a restart of the service."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel

from winnow.client.errors import ServiceProblem, ServiceUnreachable, UnexpectedAnswer
from winnow.client.transport import Transport

T = TypeVar("T", bound=BaseModel)
R = TypeVar("R")

QUICK: Final = 0.2
SLOW: Final = 2.0
"""Seconds between two looks: QUICK after a change, half as much again each time after none, up to SLOW."""

PASSING: Final = frozenset({429, 502, 503, 504})
"""Statuses of a service that restarts, or that was asked too often."""


def versions(
    transport: Transport,
    path: str,
    kind: type[T],
    *,
    until: Callable[[T], bool],
    patience: float,
    timeout: float | None = None,
    wait: int = 0,
) -> Iterator[T]:
    """Every version of the resource that is seen, the last one being the first that `until` holds for.

    `wait` is how many seconds the service may hold an answer back while the state stays the same.
    Raises TimeoutError when there is none after `timeout` seconds.
    """
    seen, etag, pause = None, None, QUICK
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        response = patiently(partial(_look, transport, path, etag, wait), patience)
        thing = seen if response.status_code == httpx.codes.NOT_MODIFIED else transport.parsed(kind, response)
        pause = min(pause * 1.5, SLOW) if thing == seen else QUICK
        if thing is not None and thing != seen:
            seen, etag = thing, response.headers.get("etag")
            yield thing
            if until(thing):
                return
        if deadline is not None and time.monotonic() + pause > deadline:
            raise TimeoutError(f"{path} has not come to its end within {timeout:g} s; it goes on")
        time.sleep(pause)


def patiently(action: Callable[[], R], patience: float) -> R:
    """Do it; while the service is away, again, for `patience` seconds. Raises what the last try raised."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return action()
        except (ServiceUnreachable, ServiceProblem, UnexpectedAnswer) as error:
            away = isinstance(error, ServiceUnreachable) or error.status in PASSING
            if not away or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def _look(transport: Transport, path: str, etag: str | None, wait: int) -> httpx.Response:
    return transport.get(
        path, headers={"If-None-Match": etag} if etag else {}, params={"wait": wait} if wait else {}
    )
