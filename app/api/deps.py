"""What routes ask for, as types."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.queue import WakeUp
from app.settings import Settings
from app.storage.ports import Blobs, Records
from app.storage.records import LOCAL_OWNER


@dataclass(frozen=True)
class Parts:
    """What the application is made of; `app.main` puts it together."""

    settings: Settings
    records: Records
    blobs: Blobs
    queue: WakeUp


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _owner() -> str:
    """The one place that says whose request this is. Keys, when they exist, are read here."""
    return LOCAL_OWNER


Service = Annotated[Parts, Depends(_parts)]
Owner = Annotated[str, Depends(_owner)]
