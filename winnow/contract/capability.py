"""What a worker is able to do and a job needs, by name: a worker takes what needs nothing that it lacks.

`cpu` is what needs nothing further, `cuda` a GPU, `inspect` the uploads; operators name others.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from winnow.contract.base import ResponseModel
from winnow.contract.target import JobTarget

CPU: Final = "cpu"
CUDA: Final = "cuda"
INSPECT: Final = "inspect"
ALIASES: Final = {"work": CPU}
"""Names of an older version, for one release."""
IMPLIED: Final[dict[JobTarget, str]] = {"onnxruntime-cuda": CUDA}
"""What measuring on a target needs."""

PATTERN: Final = "^[a-z][a-z0-9-]{0,29}$"
MAX_CAPABILITIES: Final = 16
"""Of one worker."""
MAX_NEEDS: Final = 4
"""Of one job."""

Capability = Annotated[str, StringConstraints(pattern=PATTERN)]


def _of_a_job(name: str) -> str:
    if name == INSPECT:
        raise ValueError("this is what uploads need, leave it out")
    return name


Need = Annotated[Capability, AfterValidator(_of_a_job)]


class WaitingFor(ResponseModel):
    """Why a job does not begin, or a search does not go on: no worker that lives is able to do it."""

    capability: str = Field(description="What no worker has that takes work.")
    since: datetime = Field(description="When the job, or the last of what waits of a search, began to wait.")


def canonical(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted, each once, by the names of this version."""
    return tuple(sorted({ALIASES.get(name, name) for name in names}))


def needs_of(stated: Iterable[str], target: JobTarget) -> tuple[str, ...]:
    """What a worker has to have for a job: what it states, and what its target implies; `cpu` where that is nothing."""
    implied = (IMPLIED[target],) if target in IMPLIED else ()
    return canonical([*stated, *implied]) or (CPU,)


def queue_for(needs: Iterable[str]) -> str:
    """The queue in which the hint is published: what fewest workers have, as far as names tell."""
    return min((name for name in needs if name != CPU), default=CPU)
