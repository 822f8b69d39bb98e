"""What a store keeps, as plain frozen data.

An `Upload` (a model or a dataset), an `Inquiry`, a `Job`, a `Study` and a `Trial` are all *leased*: one worker at a
time may work on them, for as long as it renews its lease. The attempt number fences: whoever holds an older one can
change nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, get_args

from winnow.contract.capability import CPU, canonical

LOCAL_OWNER = "local"
"""Whose everything is where nobody is asked who they are."""

UploadKind = Literal["model", "dataset"]
InquiryKind = Literal["propose", "preview", "page"]
STUDENT: Final = "student"
"""The format of a model that is to be made of its parent's ONNX: no worker that cannot make one takes it for an
upload."""
TrialRole = Literal["trial", "final"]
CheckpointSlot = Literal["finished", "unfinished", "curves"]
Queue = str
"""Named by the capability that a worker needs to take from it."""
Family = Literal["inspect", "work"]
"""Uploads and questions, or jobs and what searches consist of."""
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)

MAX_DURATIONS: Final = 10_000
"""Parts of finished jobs of which it is kept what they took."""
STEP_BOUNDS: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0)
"""Seconds by which it is counted what parts of finished jobs took."""
MAX_WEBHOOKS: Final = 20
"""Of one owner."""
MAX_TRANSFERS: Final = 32
"""Uploads in parts of one owner that may be open at one time."""
KEEP_DELIVERIES_SECONDS: Final = 30 * 86400.0
"""Deliveries that have ended are kept for so long."""
FORGET_WORKER_SECONDS: Final = 600.0
"""A worker that was not seen for longer has no record any more."""
ALIVE_SECONDS: Final = 60.0
"""One that was not seen for longer takes nothing soon."""


@dataclass(frozen=True, kw_only=True)
class Leased:
    """`lease_until` is in seconds since the epoch, None while nobody holds it; `holder` is the worker's record who took
    it last. `origin` names the request that made it (`app.tracing.origin`), for logs and traces of the work."""

    id: str
    owner: str = LOCAL_OWNER
    state: str
    created_at: float
    attempt: int = 0
    max_attempts: int = 3
    lease_until: float | None = None
    holder: str | None = None
    cancel_requested: bool = False
    problem: dict[str, Any] | None = None
    origin: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Upload(Leased):
    """A model or dataset. `converted` is the SHA-256 of what inspection made of it: the ONNX of a `.pt2` or
    TorchScript upload or of a student, and of a large archive of data where its members lie.

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
    pinned: bool = False

    @property
    def parent(self) -> str | None:
        """Of a student, the id of the model that it is made from: the record has that one's bytes."""
        return self.declaration["parent"] if self.format == STUDENT else None

    @property
    def content(self) -> str:
        """The SHA-256 of what it is: the bytes that came, of a student those that were made of them."""
        return self.converted or self.sha256 if self.parent is not None else self.sha256


@dataclass(frozen=True, kw_only=True)
class Job(Leased):
    """A job. `request` is the JobRequest as JSON; `uses` the ids of the uploads it names, teachers included.

    One that `searches` is never leased and never in the queue: its study is, and its trials are. `spaces` are what it
    searches, as JSON. A worker takes it that is able to do all that it `needs`, which are sorted; of one owner's the
    higher `priority` goes first. `queued_at` is when it began to wait, or something of what it searches last did.
    """

    needs: tuple[str, ...] = (CPU,)
    priority: int = 0
    queued_at: float | None = None
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
    page_sha256: str | None = None
    curves_sha256: str | None = None
    curves_bytes: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    pinned: bool = False


@dataclass(frozen=True, kw_only=True)
class Inquiry(Leased):
    """A question that only a worker can answer: about a dataset and a model, or for the `page` of a job that has a
    report. It goes with whatever it is about.

    Identity is (owner, kind, model, dataset, job, question); `question` has all that the answer depends on besides the
    bytes of these, of a page the SHA-256 of the `report`. `answer_sha256` is a blob of JSON, of a page the HTML, which
    becomes the job's if its report is still that one. State is inspecting | ready | rejected.
    """

    kind: InquiryKind
    model: str | None = None
    dataset: str | None = None
    job: str | None = None
    question: dict[str, Any]
    answer_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Study(Leased):
    """What decides the trials of one job that searches; its id is the job's with another prefix.

    It waits for a worker if and only if it is `due` and nobody holds it. `news` counts what it has not decided by
    itself: the ends of trials, a cancel, a retry. It needs what its job needs, and so do its trials.
    """

    needs: tuple[str, ...] = (CPU,)
    priority: int = 0
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

    needs: tuple[str, ...] = (CPU,)
    priority: int = 0
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
    page_sha256: str | None = None
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
class Key:
    """An API key. `sha256` is the hash of the text that its bearer sends; nobody keeps the text.

    `id` follows from the hash (`app.storage.ids.hashed_id`). Times are in seconds since the epoch.
    """

    id: str
    owner: str
    name: str
    scopes: tuple[str, ...]
    sha256: str
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a browser's cookie stands for, kept as a key is. `key` is the API key that it was made from, None for a
    token."""

    id: str
    owner: str
    scopes: tuple[str, ...]
    sha256: str
    created_at: float
    expires_at: float
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Audited:
    """Something that somebody did, or tried: a request that changes something, and its answer's status.

    `route` is its template (`/v1/jobs/{id}`), `object` the id of what it was about, `key` None for a token.
    """

    id: str
    created_at: float
    owner: str
    key: str | None
    method: str
    route: str
    object: str | None
    status: int
    request_id: str


class Dated(Protocol):
    """What lists show newest first."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> float: ...


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
    it); `runtimes` can be measured with (name → version). Times are in seconds since the epoch.

    `device` is what it computes on, `cores` and `memory_bytes` what it may use of its machine, `threads` what a child
    of its takes, None where that depends on the others there. One that is `draining` takes nothing new.
    """

    id: str
    host: str
    queues: tuple[str, ...]
    version: str
    started_at: float
    last_seen: float
    layers: dict[str, bool | int] = field(default_factory=dict)
    runtimes: dict[str, str] = field(default_factory=dict)
    device: str = ""
    cores: int = 1
    memory_bytes: int = 0
    threads: int | None = None
    draining: bool = False

    @property
    def capabilities(self) -> tuple[str, ...]:
        return canonical(self.queues)

    def takes(self, needs: Iterable[str]) -> bool:
        """Whether it takes what needs this."""
        return not self.draining and {*needs} <= {*self.capabilities}


@dataclass(frozen=True, kw_only=True)
class Taker:
    """Who takes work: a worker's `id` and host, what it is able to do, and the targets of jobs that it leaves to others
    which have them."""

    id: str
    host: str | None = None
    capabilities: frozenset[str]
    elsewhere: frozenset[str] = frozenset()


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

    @property
    def is_settled(self) -> bool:
        return self.upload is not None or self.problem is not None


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
class Checkpoint:
    """What another host can go on after: a folder `key`, packed into the blob `sha256`, of the job or trial `item`.

    Of each slot there is one: finished steps, the state of the next, the curves so far. `kept_at` is in seconds since
    the epoch.
    """

    item: str
    slot: CheckpointSlot
    key: str
    sha256: str
    kept_at: float


@dataclass(frozen=True, kw_only=True)
class Wake:
    """A hint to publish: this id waits in this queue."""

    queue: Queue
    id: str


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """`released` is what wait again now that their leases have run out. `waiting` counts the records that wait for a
    worker, of each queue whose family it is the caller's turn to look after."""

    released: list[Wake] = field(default_factory=list)
    waiting: dict[Queue, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Group:
    """How many records are alike. `kind` is model, dataset, propose, preview, job, search, trial or final; `size_bytes`
    that of the uploads, artifacts and curves that they name."""

    kind: str
    state: str
    outcome: str | None = None
    count: int
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class QueueTally:
    """`oldest` is when the hint was sent of what waits for longest, None where nothing waits."""

    waiting: int = 0
    oldest: float | None = None

    def __or__(self, other: "QueueTally") -> "QueueTally":
        """Of both together."""
        known = [each.oldest for each in (self, other) if each.oldest is not None]
        return QueueTally(waiting=self.waiting + other.waiting, oldest=min(known, default=None))


@dataclass(frozen=True, kw_only=True)
class ReaperTally:
    """What reapers gave back and announced again, since there is this store."""

    released: int
    republished: int


@dataclass(frozen=True, kw_only=True)
class StepTally:
    """What parts of this kind took: how many no longer than each of `STEP_BOUNDS`, how many at all, all seconds."""

    kind: str
    within: tuple[int, ...]
    count: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of all that a store has at one moment, each list in the order of its kinds and states. `queues` are those
    in which something waits, and each family's usual one."""

    groups: list[Group]
    queues: dict[Queue, QueueTally]
    reaped: dict[Family, ReaperTally]
    steps: list[StepTally]


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """Records of this kind and final state that came to it before this time; of uploads, that were last sent before."""

    kind: Literal["job", "model", "dataset"]
    state: str
    before: float


@dataclass(frozen=True, kw_only=True)
class Expired:
    """A record that is too old. `used_by` are the jobs that name an upload, which is kept for as long as one does."""

    kind: Literal["job", "model", "dataset"]
    id: str
    owner: str
    state: str
    since: float
    size_bytes: int
    used_by: frozenset[str] = frozenset()
