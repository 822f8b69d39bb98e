"""Keys, sessions, links and the log of who did what, as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints

from winnow.contract.base import RequestModel, ResponseModel

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
USUAL_SCOPES: Final[tuple[Scope, ...]] = ("read", "write")

Linked = Literal["artifact", "report", "page"]
MAX_LINK_SECONDS: Final = 30 * 86400
OWNER_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._@:|/+-]*$"

OwnerName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=OWNER_PATTERN)]
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class KeyRequest(RequestModel):
    """`POST /v1/keys`."""

    name: KeyName = Field(description="What the key is for, for people.")
    owner: OwnerName = Field(
        description="Whose models, datasets and jobs it opens. `local` owns what was made while nobody was asked."
    )
    scopes: list[Scope] = Field(
        default=list(USUAL_SCOPES),
        min_length=1,
        max_length=len(SCOPES),
        description="What it allows: `read` what GET asks for, `write` what changes something, `admin` keys and audit. "
        "None includes another.",
    )
    expires_at: datetime | None = Field(
        default=None, description="When it ends by itself (ISO 8601); never if left out."
    )


class Key(ResponseModel):
    """An API key, without its text."""

    id: str = Field(description="Of the key, made by the service. It opens nothing.")
    name: str = Field(description="What the key is for, for people.")
    owner: str = Field(description="Whose models, datasets and jobs it opens.")
    scopes: list[Scope] = Field(description="What it allows.")
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime | None = Field(description="When it ends by itself; null for never.")
    last_used_at: datetime | None = Field(
        description="When it was last used, to within a minute; null for never."
    )
    revoked_at: datetime | None = Field(description="When it was revoked; null while it stands.")


class MadeKey(Key):
    """A new API key. This is the only time that its text is told."""

    key: str = Field(description="What to send as `Authorization: Bearer …`. Nobody can tell it again.")


class Session(ResponseModel):
    """What a browser's cookie stands for."""

    owner: str = Field(description="Whose models, datasets and jobs it opens.")
    scopes: list[Scope] = Field(description="What it allows.")
    expires_at: datetime = Field(description="When it ends by itself.")


class LinkRequest(RequestModel):
    """`POST /v1/jobs/{id}/links`."""

    what: Linked = Field(description="What the link opens, and nothing else. There is no `page` yet.")
    seconds: int = Field(ge=1, le=MAX_LINK_SECONDS, description="For how long it opens it.")


class Link(ResponseModel):
    """An address that opens one thing for everybody who has it."""

    url: str = Field(description="The address. It needs no key: whoever has it can open it.")
    expires_at: datetime = Field(description="When it ends.")


class AuditEntry(ResponseModel):
    """Something that somebody did, or tried."""

    id: str = Field(description="Of the entry, made by the service.")
    time: datetime = Field(description="When it was answered.")
    owner: str = Field(description="Whose key or token it was.")
    key: str | None = Field(description="Id of the API key; null for a token.")
    method: str = Field(description="Of the request.")
    route: str = Field(description="Address of the request, with its parts by name.")
    object: str | None = Field(
        description="Id of what it made, else of what it was about; null where it was about none."
    )
    status: int = Field(description="HTTP status of the answer.")
    request_id: str = Field(description="Of the request, as in X-Request-Id and in the service's log.")
