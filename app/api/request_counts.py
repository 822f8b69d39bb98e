"""How many requests came, of which kind, and how long their answers took: counted in this process alone.

    winnow_http_requests_total{method, route, status}
    winnow_http_request_seconds{method, route}          to the end of the answer: a held-back or streamed one takes long

Labels are what the routes say and never what a client sent, so that no stranger can make new ones.
"""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.answered import Answered

UNKNOWN: Final = "unknown"
"""The route of an address that does not exist, or was not looked for."""
OTHER: Final = "other"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds: from a poll to an upload of gigabytes."""


class RequestCounts:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "winnow_http_requests",
            "Requests that were answered by this process.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "winnow_http_request_seconds",
            "From a request's head to the end of its answer, in this process.",
            ("method", "route"),
            buckets=BOUNDS,
            registry=registry,
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """`status` is 0 for a request whose client left before it was answered."""
        method, route = method_of(scope), route_of(scope)
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


def method_of(scope: Scope) -> str:
    return str(scope["method"]) if scope["method"] in METHODS else OTHER


def route_of(scope: Scope) -> str:
    """The template of the route that took the request: `/v1/jobs/{id}`."""
    return str(getattr(scope.get("route"), "path", UNKNOWN))


class CountedRequests:
    """ASGI: counts each request when its answer is complete."""

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, answered = time.monotonic(), Answered(send)
        try:
            await self._app(scope, receive, answered)
        finally:
            self._counts.count(scope, answered.status, time.monotonic() - begun)
