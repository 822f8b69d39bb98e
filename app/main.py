"""The service, put together. `build` reads the environment; nothing below does.

Who starts it by hand keeps the bounds on connections only with our protocol:
`uvicorn --factory app.main:build --http app.server.protocol:BoundedProtocol --ws none`
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from app import tracing
from app.access.door import Door
from app.access.start import check_settings, prepare_keys
from app.api import (
    artifacts,
    audit,
    bundles,
    compare,
    datasets,
    docs,
    events,
    health,
    imports,
    inquiries,
    job_limits,
    jobs,
    keys,
    links,
    metrics,
    models,
    openapi,
    presets,
    problems,
    rendering,
    sessions,
    students,
    targets,
    trials,
    tus,
    values,
    webhooks,
    workers,
)
from app.api.browsers import KnownHostsAndOrigins
from app.api.deps import Parts
from app.api.limits import SmallBodies
from app.api.metrics import Metrics
from app.api.openapi import complete
from app.api.readiness import Readiness
from app.api.request_counts import CountedRequests, RequestCounts
from app.api.request_id import RequestIds
from app.api.security_headers import SecurityHeaders
from app.api.traced_requests import TracedRequests
from app.api.tus_protocol import Tus
from app.pages import routers
from app.pages.problem_pages import ProblemPages
from app.queue import CeleryQueue, WakeUp
from app.settings import Settings
from app.storage.open import open_blobs, open_records
from app.storage.ports import Blobs, Records
from app.storage.reaper import Reaper
from app.webhooks.sender import Sender

DESCRIPTION = """Upload a model, get back a smaller and faster ONNX file, measured, and never worse than you allowed.

Errors are RFC 9457 problems (`application/problem+json`) with a stable `code`, a sentence, and the `field`."""


class Application(FastAPI):
    """What stands around everything, so that it also sees the answers to failures of ours."""

    def build_middleware_stack(self) -> ASGIApp:
        parts: Parts = self.state.parts
        pages = ProblemPages(super().build_middleware_stack())
        known = KnownHostsAndOrigins(pages, parts.settings.hosts)
        counted = CountedRequests(SecurityHeaders(known), self.state.counts)
        return RequestIds(TracedRequests(counted))

    def openapi(self) -> dict[str, Any]:
        """Made once, with examples and headers."""
        if self.openapi_schema is None:
            complete(super().openapi(), asks=self.state.door.asks)
        assert self.openapi_schema is not None
        return self.openapi_schema


def build() -> FastAPI:
    """The entry point: settings from the environment. Raises `CannotStart`."""
    settings = Settings()
    check_settings(settings)
    return create_app(settings)


def create_app(
    settings: Settings,
    records: Records | None = None,
    blobs: Blobs | None = None,
    queue: WakeUp | None = None,
) -> FastAPI:
    """What is not given is made as the settings say. Raises `CannotStart`."""
    parts = Parts(
        settings=settings,
        records=records or open_records(settings),
        blobs=blobs or open_blobs(settings),
        queue=queue or CeleryQueue(settings),
    )
    prepare_keys(settings, parts.records)
    app = Application(
        title="Winnow",
        version=version("winnow-service"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = parts
    app.state.readiness = Readiness(parts)
    app.state.door = Door(settings, parts.records)
    app.state.reaper = Reaper(parts.records, parts.blobs, parts.queue, parts.settings)
    app.state.metrics = Metrics(parts, app.state.reaper.done)
    app.state.counts = RequestCounts(app.state.metrics.registry)
    app.add_middleware(SmallBodies)
    app.add_middleware(Tus, most=settings.max_upload_bytes)
    problems.install(app)
    resources = (
        models,
        datasets,
        tus,
        inquiries,
        imports,
        jobs,
        presets,
        artifacts,
        rendering,
        bundles,
        students,
        targets,
        trials,
        values,
        compare,
        events,
        links,
        job_limits,
        workers,
        webhooks,
        keys,
        sessions,
        audit,
        health,
        docs,
        openapi,
    )
    for router in (
        *(resource.router for resource in resources),
        links.opened,
        workers.administered,
        events.streams,
        *routers,
    ):
        app.include_router(router)
    if parts.settings.metrics:
        app.include_router(metrics.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    reaper: Reaper = app.state.reaper
    sender = Sender(parts.records, parts.settings.webhook_networks)
    with tracing.exporting("winnow-api"):
        reaper.start()
        sender.start()
        try:
            yield
        finally:
            sender.stop()
            reaper.stop()
