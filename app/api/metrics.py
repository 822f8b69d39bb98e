"""`/metrics` for Prometheus: what this process answered, and what the stores hold.

The stores are read at most once in `READ_SECONDS`, however often it is asked, and are not waited for: while they
cannot be read, `winnow_up` is 0 and what is known without them is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from app.api.deps import Parts
from app.api.readiness import Probe, answered
from app.api.router import Router
from app.api.store_metrics import Held, disk_metrics, held_metrics, read_held, reaper_metrics
from app.storage.reaper import Done

router = Router(include_in_schema=False, access="open")

READ_SECONDS: Final = 5.0


class Metrics:
    """All that `/metrics` tells. `registry` has what this process counts, `done` is what its reaper did."""

    def __init__(self, parts: Parts, done: Done, registry: CollectorRegistry | None = None) -> None:
        self._parts, self._done = parts, done
        self._registry = registry or _process_registry()
        self._held = Probe(lambda: read_held(parts), READ_SECONDS)

    @property
    def registry(self) -> CollectorRegistry:
        return self._registry

    def of(self, parts: Parts) -> "Metrics":
        """Those of other stores, with what this process has counted."""
        return Metrics(parts, self._done, self._registry)

    async def current(self) -> "Current":
        return Current(self._registry, self._parts, self._done, await answered(self._held, None))


def _process_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


@dataclass(frozen=True)
class Current(Collector):
    """At one moment."""

    registry: CollectorRegistry
    parts: Parts
    done: Done
    held: Held | None

    def collect(self) -> Iterator[Metric]:
        build = {"version": version("winnow-service")}
        yield InfoMetricFamily("winnow_build", "The version that runs here.", value=build)
        yield from held_metrics(self.held)
        yield from disk_metrics(self.parts)
        yield from reaper_metrics(self.done)
        yield from self.registry.collect()


@router.get("/metrics")
async def tell_metrics(request: Request) -> Response:
    metrics: Metrics = request.app.state.metrics
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    content = await run_in_threadpool(encode, await metrics.current())
    return Response(content, headers={"content-type": media_type})
