"""The API over real HTTP, on stores in memory and without workers: a test plays the worker where it needs one."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.api.deps import Parts
from app.api.readiness import Readiness
from app.main import create_app
from app.queue import MemoryQueue
from app.server.limits import ConnectionLimits
from app.server.make import make_server
from app.settings import Settings
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.ports import Blobs, Records
from app.storage.records import Item


@dataclass(frozen=True)
class Served:
    """A running API: `http` talks to it, `parts` is what lies behind it."""

    http: httpx.Client
    parts: Parts
    queue: MemoryQueue
    url: str
    app: FastAPI

    def emptied(self, data_dir: Path) -> "Served":
        """The same server on stores that hold nothing."""
        queue = MemoryQueue()
        settings = self.parts.settings.model_copy(update={"data_dir": data_dir})
        parts = Parts(settings, MemoryRecords(), MemoryBlobs(), queue)
        return replace(self, parts=parts, queue=queue).back()

    def back(self) -> "Served":
        """The server on these stores again, whatever it was emptied for meanwhile."""
        self.app.state.parts, self.app.state.readiness = self.parts, Readiness(self.parts)
        self.app.state.metrics = self.app.state.metrics.of(self.parts)
        return self

    def inspected(self, id: str, facts: dict[str, Any]) -> None:
        """What the inspector does with a good upload."""
        self.finish(id, state="ready", facts=facts)

    def finish(self, id: str, **changes: Any) -> None:
        claimed = self.claim(id)
        assert self.parts.records.finish(id, claimed.attempt, time.time(), changes)

    def claim(self, id: str) -> Item:
        claimed = self.parts.records.claim(id, time.time(), 60)
        assert claimed is not None
        return claimed


@contextmanager
def served(
    data_dir: Path,
    records: Records | None = None,
    blobs: Blobs | None = None,
    queue: MemoryQueue | None = None,
    limits: ConnectionLimits | None = None,
    **settings: Any,
) -> Iterator[Served]:
    """Serve on a free port for as long as the context lasts."""
    waiting = queue or MemoryQueue()
    chosen = Settings(data_dir=data_dir, **settings)
    app = create_app(chosen, records or MemoryRecords(), blobs or MemoryBlobs(), waiting)
    _share_document(app)
    with listening() as listener:
        server = make_server(app, limits=limits, grace_seconds=1)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=30, verify=False) as http:
                yield Served(http, app.state.parts, waiting, url, app)
        finally:
            server.should_exit = True
            thread.join(10)


_documents: dict[object, dict[str, Any]] = {}


def _share_document(app: FastAPI) -> None:
    """`/openapi.json` takes one and a half seconds to make: once in this process for all that have the same routes and
    ask alike."""
    kind, make = (
        (app.state.door.asks, *(context.path for context in iter_route_contexts(app.routes))),
        app.openapi,
    )

    def openapi() -> dict[str, Any]:
        if kind not in _documents:
            _documents[kind] = make()
        return _documents[kind]

    app.openapi = openapi  # type: ignore[method-assign]


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener
