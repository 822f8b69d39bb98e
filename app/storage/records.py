"""What a store keeps, as plain frozen data.

An `Upload` (a model or a dataset), an `Inquiry`, a `Job`, a `Study` and a `Trial` are all *leased*: one worker at a
time may work on them, for as long as it renews its lease. The attempt number fences: whoever holds an older one can
change nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, get_args

LOCAL_OWNER = "local"
"""The one owner until there are keys."""

UploadKind = Literal["model", "dataset"]
InquiryKind = Literal["propose", "preview"]
TrialRole = Literal["trial", "final"]
Queue = Literal["inspect", "work"]
QUEUES: Final[tuple[Queue, ...]] = get_args(Queue)


MAX_DURATIONS: Final = 10_000
"""Parts of finished jobs of which it is kept what they took."""
MAX_WEBHOOKS: Final = 20
"""Of one owner."""
MAX_TRANSFERS: Final = 32
"""Uploads in parts of one owner that may be open at one time."""
KEEP_DELIVERIES_SECONDS: Final = 30 * 86400.0
"""Deliveries that have ended are kept for so long."""
FORGET_WORKER_SECONDS: Final = 600.0
"""A worker that was not seen for longer has no record any more."""


class Placed(Protocol):
    """What has a place in a list."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Leased:
    """`lease_until` is in seconds since the epoch, None while nobody holds it."""

    id: str
    owner: str = LOCAL_OWNER
    state: str
    created_at: float
    attempt: int = 0
    max_attempts: int = 3
    lease_until: float | None = None
    cancel_requested: bool = False
    problem: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Upload(Leased):
    """A model or dataset. `converted` is the SHA-256 of the ONNX made from a `.pt2` or TorchScript upload.

    Identity is (owner, kind, sha256, declaration); state is inspecting | ready | rejected.
    """

    kind: UploadKind
    name: str
    format: str
    sha256: str
    size_bytes: int
    declaration: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] | None = None
    converted: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job(Leased):
    """A job. `request` is the JobRequest as JSON; `uses` the ids of the uploads it names, teachers included.

    One that `searches` is never leased and never in the queue: its study is, and its trials are. `spaces` are what it
    searches, as JSON.
    """

    model: str
    uses: tuple[str, ...]
    tags: dict[str, str] = field(default_factory=dict)
    request: dict[str, Any]
    searches: bool = False
    spaces: list[dict[str, Any]] = field(default_factory=list)
    outcome: str | None = None
    step: dict[str, Any] | None = None
    progress: float = 0.0
    seconds_left: int | None = None
    requirements: list[dict[str, Any]] | None = None
    artifact_sha256: str | None = None
    artifact_bytes: int | None = None
    graph_sha256: str | None = None
    report_sha256: str | None = None
    curves_sha256: str | None = None
    curves_bytes: int | None = None
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Inquiry(Leased):
    """A question about a dataset and a model that only a worker can answer, gone with either of them.

    Identity is (owner, kind, model, dataset, question); `question` has all that the answer depends on besides the bytes
    of both. `answer_sha256` is a blob of JSON. State is inspecting | ready | rejected.
    """

    kind: InquiryKind
    model: str
    dataset: str
    question: dict[str, Any]
    answer_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Study(Leased):
    """What decides the trials of one job that searches; its id is the job's with another prefix.

    It waits for a worker if and only if it is `due` and nobody holds it. `news` counts what it has not decided by
    itself: the ends of trials, a cancel, a retry.
    """

    job: str
    news: int = 0


@dataclass(frozen=True, kw_only=True)
class Trial(Leased):
    """One closed recipe of a search, tried; or, by its `role`, the final choice among those that were.

    `params` are the values of the open settings by their paths, in the search space with the index `space`; `recipe` is
    closed, null for the tidied upload. Steps that train do `share` of their epochs; `rung` counts how often that grew,
    and `intermediate` has [rung, value] of each. `deadline`, in seconds since the epoch, is when it is stopped.
    `candidates` are the numbers of the trials that a final compares. `started_at` is when its last attempt began;
    `seconds` is what its runs took together.
    """

    job: str
    number: int
    role: TrialRole = "trial"
    params: dict[str, Any] = field(default_factory=dict)
    space: int = 0
    recipe: dict[str, Any] | None = None
    rung: int = 0
    share: float = 1.0
    intermediate: list[list[float]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    deadline: float | None = None
    started_at: float | None = None
    seconds: float = 0.0
    worker: str | None = None
    artifact_sha256: str | None = None
    artifact_bytes: int | None = None
    report_sha256: str | None = None
    graph_sha256: str | None = None
    candidates: list[int] = field(default_factory=list)


Item = Upload | Inquiry | Job | Study | Trial
"""What a worker works on."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job. `id` grows; `type` is state | progress | log."""

    id: int = 0
    job: str
    attempt: int
    time: float
    type: str
    level: str = "info"
    step: str | None = None
    message: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What a study's turn came to: trials to add, changes of others by their ids, changes of the job, what to log."""

    add: list[Trial] = field(default_factory=list)
    change: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    job: dict[str, Any] | None = None
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Every field narrows; `tags` must all match; times are seconds since the epoch, `since` inclusive."""

    state: str | None = None
    model: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, kw_only=True)
class IdempotencyKey:
    """`fingerprint` is the SHA-256 of the canonical request body."""

    key: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """Newest first. `after` is the (created_at, id) of the last row already seen."""

    limit: int = 50
    after: tuple[float, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker's parent process. `layers` shut its children in (name → whether, or in which version, its kernel gives
    it); `runtimes` can be measured with (name → version). Times are in seconds since the epoch."""

    id: str
    host: str
    queues: tuple[str, ...]
    version: str
    started_at: float
    last_seen: float
    layers: dict[str, bool | int] = field(default_factory=dict)
    runtimes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Duration:
    """What a part of a finished job took: a step by its kind, or `measure`.

    `operators` are those of the model's layers, sorted, with commas; `samples` went through the model `epochs` times.
    `memory_bytes` is the peak of the whole job.
    """

    job: str
    kind: str
    operators: str
    seconds: float
    macs: int | None
    parameters: int
    samples: int
    epochs: float
    memory_bytes: int
    cpu: str
    finished_at: float


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """An upload that comes in parts: `length` bytes in all, by `expires_at`, which each part puts off.

    `options` are what would go with the bytes of an upload; `filename` and `metadata` (`Upload-Metadata`) are as the
    client has them. When all has come there is an `upload`, or a `problem`.
    """

    id: str
    owner: str = LOCAL_OWNER
    kind: UploadKind
    length: int
    options: dict[str, Any] = field(default_factory=dict)
    filename: str | None = None
    metadata: str | None = None
    created_at: float
    expires_at: float
    upload: str | None = None
    problem: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that is told when something of its owner's comes to one of the states that `events` name.

    `secret` is the key of its signatures, as its owner has it.
    """

    id: str
    owner: str = LOCAL_OWNER
    url: str
    events: tuple[str, ...]
    secret: str
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event on its way to one webhook: `state` is waiting | delivered | failed (`app/storage/deliveries.py`).

    It is due at `next_at`, null once it has ended. `status` and `error` are what became of the last attempt.
    """

    id: str
    webhook: str
    event: str
    payload: dict[str, Any]
    state: str
    attempt: int = 0
    max_attempts: int
    created_at: float
    next_at: float | None
    lease_until: float | None = None
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wake:
    """A hint to publish: this id waits in this queue."""

    queue: Queue
    id: str


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """`released` is what wait again now that their leases have run out. `waiting` counts the records that wait for a
    worker, of each queue that it is the caller's turn to look after."""

    released: list[Wake] = field(default_factory=list)
    waiting: dict[Queue, int] = field(default_factory=dict)
