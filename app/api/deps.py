"""What routes ask for, as types."""

from dataclasses import dataclass, field
from functools import cached_property
from threading import Event
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from structlog.contextvars import bind_contextvars

from app.access.caller import Caller
from app.api import examples
from app.api.waiting_for import LiveWorkers
from app.queue import WakeUp
from app.settings import Settings
from app.storage.local_partials import LocalPartials
from app.storage.ports import Blobs, Records


@dataclass(frozen=True)
class Parts:
    """What the application is made of; `app.main` puts it together. Whoever serves it sets `stopping` when it is to
    end: answers that are held back come then, as things stand."""

    settings: Settings
    records: Records
    blobs: Blobs
    queue: WakeUp
    stopping: Event = field(default_factory=Event)

    @cached_property
    def live_workers(self) -> LiveWorkers:
        return LiveWorkers(self.records)

    @property
    def partials(self) -> LocalPartials:
        return LocalPartials(self.settings.partial_dir, self.blobs)


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _caller(request: Request) -> Caller:
    """As `app.api.guard` has found it out; routes that are open have none."""
    caller: Caller = request.state.caller
    bind_contextvars(owner=caller.owner)
    return caller


Known = Annotated[Caller, Depends(_caller)]


async def _owner(request: Request) -> str:
    return (await _caller(request)).owner


def _named(kind: str, example: str) -> Any:
    return Path(description=f"Id of the {kind}.", examples=[example])


ModelId = Annotated[str, _named("model", examples.MODEL)]
DatasetId = Annotated[str, _named("dataset", examples.DATASET)]
InquiryId = Annotated[str, _named("question", examples.INQUIRY)]
JobId = Annotated[str, _named("job", examples.JOB)]
KeyId = Annotated[str, _named("key", examples.KEY)]
Service = Annotated[Parts, Depends(_parts)]
Owner = Annotated[str, Depends(_owner)]
