"""`/v1/workers`: who works here, and at what; having one take nothing new."""

import time
from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Path
from pydantic import ValidationError

from app.access.caller import Caller
from app.api import examples
from app.api.deps import Known, Parts, Service
from app.api.problems import documented
from app.api.router import Router
from app.api.times import at
from app.storage import records
from app.storage.kinds import kind_of
from app.storage.records import FORGET_WORKER_SECONDS, Inquiry, Job, Leased, Study, Trial, Upload
from winnow.contract.errors import Refusal
from winnow.contract.worker import Doing, Work, Worker, Workers

router = Router(prefix="/v1/workers", tags=["workers"])
administered = Router(prefix="/v1/workers", tags=["workers"], access="admin")

MOST: Final = 1000
WorkerId = Annotated[str, Path(description="Id of the worker.", examples=[examples.WORKER])]

_DOING: Final[dict[type[Leased], Doing]] = {
    Upload: "inspection",
    Inquiry: "question",
    Job: "job",
    Study: "search",
    Trial: "trial",
}


@router.get("", operation_id="list_workers", responses=documented())
def list_workers(service: Service, caller: Known) -> Workers:
    """Those that were seen in the last ten minutes, by their start."""
    known = service.records.workers(time.time() - FORGET_WORKER_SECONDS)[:MOST]
    held = {item.holder: item for item in service.records.held()}
    return Workers(items=[shown for worker in known if (shown := _shown(worker, held, caller)) is not None])


@administered.post("/{id}/drain", operation_id="drain_worker", responses=documented("not_found"))
def drain_worker(id: WorkerId, service: Service, caller: Known) -> Worker:
    """Have it take nothing new; what it does it finishes. Twice does no harm."""
    return _changed(service, id, caller, draining=True)


@administered.post("/{id}/undrain", operation_id="undrain_worker", responses=documented("not_found"))
def undrain_worker(id: WorkerId, service: Service, caller: Known) -> Worker:
    """Have it take work again."""
    return _changed(service, id, caller, draining=False)


def _changed(parts: Parts, id: str, caller: Caller, *, draining: bool) -> Worker:
    worker = parts.records.drain(id, draining)
    held = {item.holder: item for item in parts.records.held()}
    shown = None if worker is None else _shown(worker, held, caller)
    if shown is None:
        raise Refusal("not_found", f"There is no worker {id!r}; one that starts again has another id.")
    return shown


def _shown(worker: records.Worker, held: Mapping[str | None, Leased], caller: Caller) -> Worker | None:
    """None for a record that is not as workers of this version put it."""
    fields = {name: value for name, value in vars(worker).items() if name in Worker.model_fields}
    item = held.get(worker.id)
    further = {
        "capabilities": list(worker.capabilities),
        "doing": None if item is None else _work(item, caller),
        "started_at": at(worker.started_at),
        "last_seen": at(worker.last_seen),
    }
    try:
        return Worker.model_validate(fields | further)
    except ValidationError:
        return None


def _work(item: Leased, caller: Caller) -> Work:
    """Whose work it is may know which, and who looks after the workers."""
    match item:
        case Study() | Trial():
            id = item.job
        case _:
            id = item.id
    known = item.owner == caller.owner or "admin" in caller.scopes
    return Work(kind=_DOING[kind_of(item.id)], id=id if known else None)
