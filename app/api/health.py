"""`/livez`: the process answers. `/readyz`: what it needs can be reached, and who works."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Request, Response
from pydantic import Field, StringConstraints, ValidationError

from app.api.readiness import Readiness as Asking
from app.api.router import Router
from app.api.times import at
from app.storage.records import Worker
from winnow.contract.base import ResponseModel

router = Router(tags=["health"], access="open")

Check = Literal["ok", "unreachable"]
Short = Annotated[str, StringConstraints(max_length=100)]
MAX_WORKERS: Final = 1000
MAX_NAMES: Final = 30
"""Layers, runtimes and queues of a worker."""


class Alive(ResponseModel):
    status: Literal["ok"] = Field(description="The process answers.")


class WorkerSeen(ResponseModel):
    """A worker. `layers` shut its children in: which of them its kernel gives; `landlock` is the version of that
    interface, 0 where there is none. `runtimes`: what it can measure with, and the versions."""

    host: Short = Field(description="Name of its machine.")
    queues: list[Short] = Field(max_length=MAX_NAMES, description="What it takes work from.")
    version: Short = Field(description="Of the service that it runs.")
    started_at: datetime = Field(description="When it started.")
    last_seen: datetime = Field(description="When it last said that it lives.")
    layers: dict[Short, bool | int] = Field(
        max_length=MAX_NAMES, description="Layer → whether its kernel gives it, or which version."
    )
    runtimes: dict[Short, Short] = Field(max_length=MAX_NAMES, description="Runtime → version.")


class Readiness(ResponseModel):
    """Without the broker jobs are taken and wait: degraded. Without database or disk nothing works: unavailable.

    `workers` are those that were seen in the last ten minutes; the status does not depend on them.
    """

    status: Literal["ready", "degraded", "unavailable"] = Field(
        description="`ready`; `degraded` when jobs are taken and wait; `unavailable` when nothing works."
    )
    database: Check = Field(description="Whether the records can be reached.")
    disk: Check = Field(description="Whether the blobs can be written.")
    broker: Check = Field(description="Whether workers can be woken up.")
    workers: list[WorkerSeen] = Field(description="The workers seen in the last ten minutes.")


@router.get("/livez", operation_id="is_alive")
async def livez() -> Alive:
    return Alive(status="ok")


@router.get("/readyz", operation_id="is_ready", responses={503: {"model": Readiness}})
async def readyz(request: Request, response: Response) -> Readiness:
    """Answers within two seconds, whatever hangs; asked often, it tells an answer of the last second again."""
    asking: Asking = request.app.state.readiness
    found = await asking.current()
    works = found.database and found.disk
    if not works:
        response.status_code = 503
    return Readiness(
        status=("ready" if found.broker else "degraded") if works else "unavailable",
        database=_check(found.database),
        disk=_check(found.disk),
        broker=_check(found.broker),
        workers=[seen for worker in found.workers[:MAX_WORKERS] if (seen := _seen(worker)) is not None],
    )


def _check(reached: bool) -> Check:
    return "ok" if reached else "unreachable"


def _seen(worker: Worker) -> WorkerSeen | None:
    """None for a record that is not as workers of this version put it: this page is public."""
    shown = {name: value for name, value in vars(worker).items() if name in WorkerSeen.model_fields}
    times = {"started_at": at(worker.started_at), "last_seen": at(worker.last_seen)}
    try:
        return WorkerSeen.model_validate(shown | times)
    except ValidationError:
        return None
