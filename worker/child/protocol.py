"""What child and worker say to each other while the work is done, as JSON lines: messages up, answers down."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from winnow.contract.errors import Problem
from worker.child.spec import Measuring, Message
from worker.compression.cache.unfinished import Slot


class StepBegun(Message):
    type: Literal["step"] = "step"
    index: int
    kind: str


class Advanced(Message):
    type: Literal["advance"] = "advance"
    fraction: float


class Logged(Message):
    type: Literal["log"] = "log"
    message: str
    level: Literal["info", "warning", "error"] = "info"
    values: dict[str, Any] = Field(default_factory=dict)


class Kept(Message):
    """There is a checkpoint in the folder `key` of those that the attempts share: of `finished` steps, or of what was
    reached in the next."""

    type: Literal["kept"] = "kept"
    slot: Slot
    key: Annotated[str, Field(pattern="^[0-9a-z-]{1,100}$")]


class Done(Message):
    type: Literal["done"] = "done"
    result: dict[str, Any]


class Refused(Message):
    type: Literal["refused"] = "refused"
    problem: Problem


class Measure(Message):
    """To be done in a process of its own; the child waits for the answer."""

    type: Literal["measure"] = "measure"
    task: Annotated[Measuring, Field(discriminator="kind")]


class Need(Message):
    """Bytes `start` to before `end` of a dataset of which not all is here; the child waits until they are."""

    type: Literal["need"] = "need"
    path: Path
    start: int = Field(ge=0)
    end: int = Field(ge=0, le=2**62)


class Fetched(Message):
    """They are."""

    type: Literal["fetched"] = "fetched"


class Ended(Message):
    """The measuring process ended without an answer, or was not started."""

    type: Literal["ended"] = "ended"
    how: str


Note = StepBegun | Advanced | Logged | Kept
"""A message on the way."""

FromChild = StepBegun | Advanced | Logged | Kept | Done | Refused | Measure | Need
"""From the child to the worker."""

Answer = Done | Refused | Ended | Fetched
"""From the worker to the child, one for each `Measure` and each `Need`."""

_LATER = ConfigDict(defer_build=True)
FROM_CHILD: TypeAdapter[FromChild] = TypeAdapter(
    Annotated[FromChild, Field(discriminator="type")], config=_LATER
)
ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="type")], config=_LATER)
