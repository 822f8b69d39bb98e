"""The service, put together. `uvicorn --factory app.main:build` reads the environment; nothing below does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from app.api import artifacts, datasets, events, health, job_limits, jobs, models, problems
from app.api.deps import Parts, plain_address
from app.api.limits import SmallBodies
from app.api.readiness import Readiness
from app.queue import CeleryQueue, WakeUp
from app.settings import Settings
from app.storage.open import open_blobs, open_records
from app.storage.ports import Blobs, Records
from app.storage.reaper import Reaper

DESCRIPTION = """Upload a model, get back a smaller and faster ONNX file, measured, and never worse than you allowed.

Errors are RFC 9457 problems (`application/problem+json`) with a stable `code`, a sentence, and the `field`."""


def build() -> FastAPI:
    """The entry point: settings from the environment."""
    return create_app(Settings())


def create_app(
    settings: Settings,
    records: Records | None = None,
    blobs: Blobs | None = None,
    queue: WakeUp | None = None,
) -> FastAPI:
    """What is not given is made as the settings say."""
    parts = Parts(
        settings=settings,
        records=records or open_records(settings),
        blobs=blobs or open_blobs(settings),
        queue=queue or CeleryQueue(settings),
    )
    app = FastAPI(
        title="Winnow",
        version=version("winnow"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        dependencies=[Depends(plain_address)],
        redirect_slashes=False,
        redoc_url=None,
    )
    app.state.parts = parts
    app.state.readiness = Readiness(parts)
    app.add_middleware(SmallBodies)
    problems.install(app)
    resources = (models, datasets, jobs, artifacts, events, job_limits, health)
    for router in (*(resource.router for resource in resources), events.streams):
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    reaper = Reaper(parts.records, parts.blobs, parts.queue, parts.settings)
    reaper.start()
    try:
        yield
    finally:
        reaper.stop()
