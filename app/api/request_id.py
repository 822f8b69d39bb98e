"""A name for every request: taken from `X-Request-Id` or made here, in every answer, problem and log line (`app.logs`),
and in the record of what it makes."""

import logging
import re
import time
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

HEADER: Final = "x-request-id"
FIELDS: Final = ("method", "path", "status", "milliseconds")
_SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


def current_request_id() -> str | None:
    named = get_contextvars().get("request_id")
    return None if named is None else str(named)


def new_request_id() -> str:
    return uuid4().hex


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
        clear_contextvars()
        bind_contextvars(request_id=request_id)

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, named)
        finally:
            milliseconds = round((time.monotonic() - begun) * 1000)
            told = (scope["method"], address(scope), status, milliseconds)
            log.info("%s %s %d %d ms", *told, extra=dict(zip(FIELDS, told, strict=True)))


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
