"""ASGI: a span for each request, below the client's trace where it sends one (`traceparent`)."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app import tracing
from app.api.answered import Answered
from app.api.browsers import PROBES
from app.api.request_counts import method_of, route_of
from app.api.request_id import current_request_id


class TracedRequests:
    """Probes are left out: they come again and again, and tell nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            return await self._app(scope, receive, send)
        method, answered = method_of(scope), Answered(send)
        sent = Headers(scope=scope).get(tracing.TRACE)
        origin = None if sent is None else {tracing.TRACE: sent}
        with tracing.span(method, kind="server", origin=origin) as span:
            try:
                await self._app(scope, receive, answered)
            finally:
                if span is not None:
                    route = route_of(scope)
                    span.update_name(f"{method} {route}")
                    span.set_attributes(
                        {
                            "http.request.method": method,
                            "http.route": route,
                            "http.response.status_code": answered.status,
                            "winnow.request_id": current_request_id() or "",
                        }
                    )
