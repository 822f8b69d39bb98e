"""`/livez`: the process answers. `/readyz`: what it needs can be reached."""

import logging
from collections.abc import Callable
from typing import Literal

from fastapi import Response

from app.api.deps import Service
from app.api.router import Router
from app.contract.base import Told

log = logging.getLogger(__name__)

router = Router(tags=["health"])

Check = Literal["ok", "unreachable"]


class Alive(Told):
    status: Literal["ok"]


class Readiness(Told):
    """Without the broker jobs are taken and wait: degraded. Without database or disk nothing works: unavailable."""

    status: Literal["ready", "degraded", "unavailable"]
    database: Check
    disk: Check
    broker: Check


@router.get("/livez", operation_id="is_alive")
async def livez() -> Alive:
    return Alive(status="ok")


@router.get("/readyz", operation_id="is_ready", responses={503: {"model": Readiness}})
def readyz(service: Service, response: Response) -> Readiness:
    database, disk = _reached(service.records.ping), _reached(service.blobs.ping)
    broker: Check = "ok" if service.queue.ping() else "unreachable"
    if "unreachable" in (database, disk):
        response.status_code = 503
        return Readiness(status="unavailable", database=database, disk=disk, broker=broker)
    return Readiness(
        status="ready" if broker == "ok" else "degraded", database=database, disk=disk, broker=broker
    )


def _reached(ping: Callable[[], None]) -> Check:
    """Whatever a store raises, it means the same here."""
    try:
        ping()
    except Exception as error:
        log.warning("not ready: %s: %s", type(error).__name__, error)
        return "unreachable"
    return "ok"
