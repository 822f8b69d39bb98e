"""What is pinned is kept, however old it is."""

from typing import Final

from pydantic import Field

from winnow.contract.base import RequestModel

PINNED: Final = "Whether it is kept however old it is, with all that it needs."


class Pinning(RequestModel):
    """`PATCH /v1/models/{id}`, `PATCH /v1/jobs/{id}`."""

    pinned: bool = Field(description=PINNED)
