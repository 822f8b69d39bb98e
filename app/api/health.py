"""`/livez`: the process answers. `/readyz`: what it needs can be reached."""

import logging
from collections.abc import Callable
from typing import Literal

from fastapi import Response
from pydantic import Field

from app.api.deps import Service
from app.api.router import Router
from app.contract.base import Told

log = logging.getLogger(__name__)

router = Router(tags=["health"])

Check = Literal["ok", "unreachable"]


class Alive(Told):
    status: Literal["ok"] = Field(description="The process answers.")


class Readiness(Told):
    """Without the broker jobs are taken and wait: degraded. Without database or disk nothing works: unavailable."""

    status: Literal["ready", "degraded", "unavailable"] = Field(
        description="`ready`; `degraded` when jobs are taken and wait; `unavailable` when nothing works."
    )
    database: Check = Field(description="Whether the records can be reached.")
    disk: Check = Field(description="Whether the blobs can be written.")
    broker: Check = Field(description="Whether workers can be woken up.")


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
