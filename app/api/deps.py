"""What routes ask for, as types."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.contract.errors import Refusal
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


async def plain_address(request: Request) -> None:
    """For every route: text that no database keeps is refused before it gets near one."""
    parameters = request.query_params.multi_items()
    for field, text in [(None, request.url.path), *request.path_params.items(), *parameters]:
        if "\0" in f"{field}{text}":
            raise Refusal("invalid_request", "The address contains a NUL character; remove it.", field=field)


Service = Annotated[Parts, Depends(_parts)]
Owner = Annotated[str, Depends(_owner)]
