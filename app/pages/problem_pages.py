"""Problems as pages, for browsers that ask for pages: whatever refused, it is read off the answer. Below `/v1` and the
other addresses of programs a problem stays one."""

import json
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.accept import wants_html
from app.api.problems import MEDIA_TYPE
from app.pages.rendering import page

FOR_PROGRAMS: Final = ("/v1", "/docs", "/openapi.json", "/livez", "/readyz", "/metrics", "/assets")

PASSED_ON: Final = ("allow", "retry-after", "www-authenticate")


class ProblemPages:
    """ASGI. Who is not known is asked for a key in place of the page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_for_people = scope["type"] == "http" and _wants_page(scope)
        await self._app(scope, receive, _Rendering(scope, receive, send) if is_for_people else send)


class _Rendering:
    """Passes on what is sent; a problem it keeps, to send a page in its place."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                response = _page(Request(self._scope), self._start, json.loads(self._body))
                await response(self._scope, self._receive, self._send)


def _is_problem(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type") == MEDIA_TYPE


def _wants_page(scope: Scope) -> bool:
    path = scope["path"]
    is_theirs = any(path == start or path.startswith(f"{start}/") for start in FOR_PROGRAMS)
    return not is_theirs and wants_html(Headers(scope=scope))


def _page(request: Request, start: Message, problem: dict[str, Any]) -> Response:
    template = "login.html" if start["status"] == 401 else "problem.html"
    response = page(request, template, start["status"], problem=problem)
    for name in PASSED_ON:
        if (value := Headers(raw=start["headers"]).get(name)) is not None:
            response.headers[name] = value
    return response
