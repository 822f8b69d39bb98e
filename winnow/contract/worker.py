"""A worker of the service, as `GET /v1/workers` shows it."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from winnow.contract.base import ResponseModel

MAX_NAMES: Final = 30
"""Capabilities, layers and runtimes of a worker."""
Short = Annotated[str, StringConstraints(max_length=200)]

Doing = Literal["inspection", "question", "job", "search", "trial"]
"""An upload that is checked, a question about one, a job, a turn that decides the trials of a search, or one trial."""


class Work(ResponseModel):
    """What a worker does now."""

    kind: Doing = Field(description="Which kind of work it is.")
    id: str | None = Field(
        description="Id of the upload, question or job (also of a search or trial its job's); null for work of another "
        "owner, unless an administrator asks."
    )


class Worker(ResponseModel):
    """It takes what needs nothing that is not among its `capabilities`, one thing at a time."""

    id: str = Field(description="Of the worker, new at each of its starts.")
    host: Short = Field(description="Name of its machine.")
    capabilities: list[Short] = Field(max_length=MAX_NAMES, description="What it is able to do.")
    device: Short = Field(description="What it computes on; empty for a worker of an older version.")
    cores: int = Field(description="Cores that it may use of its machine.")
    threads: int | None = Field(
        description="Threads that a job has with it; null where the workers of its machine share the cores."
    )
    memory_bytes: int = Field(description="Memory that it may use; 0 for a worker of an older version.")
    version: Short = Field(description="Of the service that it runs.")
    runtimes: dict[Short, Short] = Field(
        max_length=MAX_NAMES, description="Runtime → version, with which it can measure."
    )
    doing: Work | None = Field(description="What it does now; null while it has nothing to do.")
    draining: bool = Field(description="Whether it takes nothing new.")
    started_at: datetime = Field(description="When it started.")
    last_seen: datetime = Field(description="When it last said that it lives, which it does every 15 s.")


class Workers(ResponseModel):
    """Those that were seen in the last ten minutes, by their start."""

    items: list[Worker] = Field(description="The workers.")
