"""A name for every request: taken from `X-Request-Id` or made here, in every answer, problem and log line.

A log handler with `WithRequestId` may use `%(request_id)s` in its format; outside of requests it is `-`.
"""

import logging
import re
import time
from contextvars import ContextVar
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-request-id"
_SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str | None] = ContextVar("request_id", default=None)

log = logging.getLogger(__name__)


def current_request_id() -> str | None:
    return _current.get()


def new_request_id() -> str:
    return uuid4().hex


class WithRequestId(logging.Filter):
    """Gives each record its `request_id`, unless it brings one; lets all pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = getattr(record, "request_id", None) or current_request_id() or "-"
        return True


class RequestIds:
    """ASGI: names the request, sends the name back, and logs one line when the answer is complete.

    The name stays set when the request is over: the server logs a failure of ours only then, in the same task.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id, begun, status = _requested_id(scope), time.monotonic(), 0
        _current.set(request_id)

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, named)
        finally:
            milliseconds = (time.monotonic() - begun) * 1000
            log.info("%s %s %d %.0f ms", scope["method"], address(scope), status, milliseconds)


def _requested_id(scope: Scope) -> str:
    """What the client or its proxy sent, when it sent one name that is safe to log; else a new one."""
    match Headers(scope=scope).getlist(HEADER):
        case [name] if _SANE.fullmatch(name):
            return name
        case _:
            return new_request_id()


def address(scope: Scope) -> str:
    """The path, percent-encoded: no line break, and no query, which may hold secrets."""
    return quote(scope["path"], errors="replace")[:200]
