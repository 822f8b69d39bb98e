"""What routes ask for, as types."""

from dataclasses import dataclass, field
from threading import Event
from typing import Annotated, Any

from fastapi import Depends, Path, Request

from app.api import examples
from app.queue import WakeUp
from app.settings import Settings
from app.storage.local_partials import LocalPartials
from app.storage.ports import Blobs, Records
from app.storage.records import LOCAL_OWNER


@dataclass(frozen=True)
class Parts:
    """What the application is made of; `app.main` puts it together. Whoever serves it sets `stopping` when it is to
    end: answers that are held back come then, as things stand."""

    settings: Settings
    records: Records
    blobs: Blobs
    queue: WakeUp
    stopping: Event = field(default_factory=Event)

    @property
    def partials(self) -> LocalPartials:
        return LocalPartials(self.settings.partial_dir, self.blobs)


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _owner() -> str:
    """The one place that says whose request this is. Keys, when they exist, are read here."""
    return LOCAL_OWNER


def _named(kind: str, example: str) -> Any:
    return Path(description=f"Id of the {kind}.", examples=[example])


ModelId = Annotated[str, _named("model", examples.MODEL)]
DatasetId = Annotated[str, _named("dataset", examples.DATASET)]
InquiryId = Annotated[str, _named("question", examples.INQUIRY)]
JobId = Annotated[str, _named("job", examples.JOB)]
Service = Annotated[Parts, Depends(_parts)]
Owner = Annotated[str, Depends(_owner)]
