"""The ports. Every implementation passes `tests/app/storage/test_conformance_*.py`; the in-memory ones ship.

Nothing here raises for "not there": lookups answer None. `Conflict` and its kin are the only errors of ours.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from app.storage.records import (
    Audited,
    Checkpoint,
    Decision,
    Delivery,
    Duration,
    Event,
    Expired,
    Expiry,
    IdempotencyKey,
    Inquiry,
    Item,
    Job,
    JobFilter,
    Key,
    Leased,
    Page,
    Queue,
    Reaped,
    Session,
    Study,
    Taker,
    Tally,
    Transfer,
    Trial,
    Upload,
    UploadKind,
    Wake,
    Webhook,
    Worker,
)


class Conflict(Exception):
    """The state of things forbids it. The message says which state."""


class InUse(Conflict):
    """An unfinished job uses the upload. `jobs` are their ids."""

    def __init__(self, jobs: list[str]) -> None:
        self.jobs = jobs
        super().__init__(", ".join(jobs))


class KeyReused(Conflict):
    """The idempotency key was used with another body."""


class Gone(Conflict):
    """An upload that a new or retried job names is no longer there. `id` is the upload's."""

    def __init__(self, id: str) -> None:
        self.id = id
        super().__init__(id)


class TooMany(Conflict):
    """The owner has as many of these as one owner may have."""


class StoreAway(OSError):
    """The blobs' server cannot be reached, or refuses what was asked of it."""


class Uploads(Protocol):
    def add_upload(self, upload: Upload) -> tuple[Upload, bool]:
        """Store it, or answer the one with the same identity and False, which is then as young as a new one.

        One that was rejected is set to inspecting again (attempts start anew) and answered with True.
        """

    def upload(self, owner: str, kind: UploadKind, id: str) -> Upload | None: ...

    def uploads(self, owner: str, kind: UploadKind, page: Page) -> list[Upload]: ...

    def declare(
        self, owner: str, id: str, declaration: dict[str, Any], more_attempts: int = 3
    ) -> Upload | None:
        """Replace a dataset's declaration and inspect again. `Conflict` when a job has ever used it, or another
        dataset has the same bytes and this declaration."""

    def delete_upload(self, owner: str, kind: UploadKind, id: str) -> bool:
        """False when there is none. `InUse` while an unfinished job names it. Inquiries about it go with it."""


class Inquiries(Protocol):
    def add_inquiry(self, inquiry: Inquiry) -> tuple[Inquiry, bool]:
        """Store it, or answer the one with the same identity and False. `Gone` without its model or dataset.

        One that was rejected is set to inspecting again (attempts start anew) and answered with True.
        """

    def inquiry(self, owner: str, id: str) -> Inquiry | None: ...


class Jobs(Protocol):
    def add_job(self, job: Job, key: IdempotencyKey | None, trials: Sequence[Trial] = ()) -> tuple[Job, bool]:
        """Store it, or answer the job made with the same key and False. `KeyReused`; `Gone`.

        For a job that searches, its study is stored with it, due; for one that has finished elsewhere its `trials`, and
        the study closed.
        """

    def replayed(self, owner: str, key: IdempotencyKey) -> Job | None:
        """The job that was made with this key. `KeyReused`."""

    def job(self, owner: str, id: str) -> Job | None: ...

    def any_job(self, id: str) -> Job | None:
        """Whoever owns it: for what asks on nobody's behalf, as a worker that clears up, or a link that was signed."""

    def jobs(self, owner: str, filter: JobFilter, page: Page) -> list[Job]: ...

    def job_in_queue(self, owner: str, id: str) -> tuple[Job, int | None] | None:
        """`job` and its `queue_position` in one look."""

    def queue_position(self, id: str) -> int | None:
        """Its turn among those that need the same, as `fairness` has it: 1 for the next to run; None when it is not
        queued."""

    def queue_positions(self, ids: Collection[str]) -> dict[str, int]:
        """The positions of those of the jobs that are queued, by id."""

    def cancel_job(self, owner: str, id: str, now: float) -> Job | None:
        """Queued: cancelled at once. Running: cancelling. `Conflict` when finished (cancelled twice is fine).

        Of a running search the trials that wait end as `stopped_early`, those that run are asked to stop, and the study
        is due: it ends the job.
        """

    def retry_job(self, owner: str, id: str, now: float, more_attempts: int) -> Job | None:
        """Failed or cancelled: queued again, `max_attempts = attempt + more_attempts`. `Conflict`, `Gone`.

        A search goes on with the trials that it has: its study is due.
        """

    def delete_job(self, owner: str, id: str) -> bool:
        """The job, its events, its key, its study and its trials. `Conflict` while unfinished."""

    def events(self, job: str, after: int, limit: int) -> list[Event]: ...

    def sampled_events(self, job: str, names: Sequence[str], most: int) -> list[Event]:
        """What was logged with one of the `names` among its values, by id: of each name about `most`, evenly spread,
        the first and the last of them always."""


class Studies(Protocol):
    """Searches: what only they have beside the other ports. A trial that has ended makes its study due."""

    def study(self, job: str) -> Study | None: ...

    def trial(self, job: str, number: int) -> Trial | None: ...

    def trial_rows(self, job: str) -> list[Trial]:
        """All of them, finals too, by number."""

    def trial_counts(self, jobs: Collection[str]) -> dict[str, dict[str, int]]:
        """How many trials of each job are in each state that any is in; finals are not counted."""

    def waiting_searches(self, jobs: Collection[str]) -> frozenset[str]:
        """Those of these jobs whose study or any of whose trials, finals too, waits for a worker."""

    def settle(
        self, id: str, attempt: int, now: float, news: int, decision: Decision, more_attempts: int = 3
    ) -> bool:
        """End a study's turn, in one transaction: the trials decided on are added, those named by their ids changed,
        the job is changed, and the lease given up. The study is then idle, or closed when the job is finished by it;
        its attempts start anew.

        `news` is the study's as it was before anything was read. Where it has moved, what was decided is out of date:
        nothing is changed, the lease is given up, the study stays due, and the answer is False; False when fenced too.

        A trial that somebody holds changes no state: it is asked to stop. One that is set to `waiting` may be attempted
        `more_attempts` times. `ValueError` for a job that succeeds although it was cancelled.
        """


class Leases(Protocol):
    """The record owns the work; a message is only a hint. All changes are compare-and-set on the attempt."""

    def claim(
        self,
        id: str,
        now: float,
        seconds: float,
        worker: str | None = None,
        elsewhere: Collection[str] = frozenset(),
        holder: str | None = None,
    ) -> Item | None:
        """Take this one: attempt + 1, lease until now + seconds, a job or trial becomes running. None when it is not to
        be had (finished, leased by another, cancelled, attempts spent, a job that searches, a target `elsewhere`).

        It keeps the id of its `holder`, a trial the name of its worker as well. A study's first turn sets its job
        running.
        """

    def claim_next(self, taker: Taker, now: float, seconds: float) -> Item | None:
        """Take what comes first of all that waits and that the taker is able to do: an upload or a question; else of
        the owner whose turn it is (`fairness`), in the order of `rules.order`. None where there is nothing, and for a
        worker that drains.
        """

    def renew(self, id: str, attempt: int, now: float, seconds: float) -> bool:
        """False: fenced, somebody else has it or it is over."""

    def cancel_requested(self, id: str, attempt: int) -> bool:
        """True also when fenced: either way the work has to stop."""

    def report(
        self,
        id: str,
        attempt: int,
        *,
        step: dict[str, Any] | None,
        progress: float,
        seconds_left: int | None,
        events: Iterable[Event] = (),
    ) -> bool:
        """A job's progress, with what is to be logged; of a trial only that, in its job's log. False when fenced."""

    def finish(
        self, id: str, attempt: int, now: float, changes: dict[str, Any], job: dict[str, Any] | None = None
    ) -> bool:
        """The end: sets the fields named (state among them) and gives the lease up, in one transaction.

        `succeeded` and `ready` also need that no cancel was requested. False when fenced or refused. The end of a trial
        makes its study due, unless `job` has the end of the job: a final sets it too, and closes the study.
        """

    def release(self, id: str, attempt: int, now: float, blame: bool = True) -> bool:
        """Give it back unfinished (a crash): queued again, or failed with `worker_lost` when attempts are spent,
        or cancelled when that was asked. Without `blame` (the worker is shut down) the attempt costs nothing.

        A trial given up is `failed` or `stopped_early`, its study due; a study given up fails its job.
        """

    def reap(self, now: float, look_seconds: float) -> Reaped:
        """Release what has an expired lease, and count what waits in the queues that nobody has looked after for
        `look_seconds`: of all reapers one is told."""

    def republish(self, queue: Queue, count: int, now: float, published_before: float) -> list[Wake]:
        """Choose `count` records to be published again, of those that wait and were last published no later than
        `published_before`: those that were published longest ago. They count as published now."""

    def held(self) -> list[Leased]:
        """All that is leased at this moment, by id (for `/readyz` and for clearing scratch)."""


class Workers(Protocol):
    def worker_seen(self, worker: Worker, forget_before: float) -> None:
        """Put its record, in the place of an earlier one; only `drain` changes whether it drains. Forgets those that
        were last seen before."""

    def workers(self, seen_since: float) -> list[Worker]:
        """Those that were last seen then or later, by their start."""

    def worker(self, id: str) -> Worker | None: ...

    def drain(self, id: str, draining: bool = True) -> Worker | None:
        """Have it take nothing new, or again. Its record; None when there is none."""


class Durations(Protocol):
    """What finished jobs took. They outlive their jobs."""

    def add_durations(self, durations_of_job: Sequence[Duration]) -> None:
        """Those of one job. Of all jobs the last `MAX_DURATIONS` are kept."""

    def durations(self, kind: str, operators: str, limit: int) -> list[Duration]:
        """Of parts of this kind on models with layers of these operators, the newest first."""


class Keys(Protocol):
    """API keys, and the sessions of browsers. Whoever asks here sees those of all owners."""

    def add_key(self, key: Key) -> Key:
        """Store it, or answer the one with the same id as it is: the same secret is the same key."""

    def key(self, id: str) -> Key | None: ...

    def keys(self, page: Page) -> list[Key]:
        """Those that were revoked or have expired, too."""

    def key_used(self, id: str, now: float, unless_since: float) -> None:
        """Keep that it was used, unless it is kept that it was after `unless_since`."""

    def revoke_key(self, id: str, now: float) -> Key | None:
        """For good; twice does no harm. `Conflict` for the last one with the scope admin that can be used."""

    def add_session(self, session: Session) -> None:
        """Forgets those that expired before this one was made."""

    def session(self, id: str) -> Session | None: ...

    def end_session(self, id: str) -> bool:
        """False when there is none."""

    def secret(self, name: str, new: str) -> str:
        """The secret of this name that all processes share; `new` where there was none."""


class Audit(Protocol):
    """Who did what. Entries are added and never changed."""

    def add_audited(self, entry: Audited) -> None: ...

    def audited(self, page: Page) -> list[Audited]: ...


class Usage(Protocol):
    """What an owner has."""

    def stored_bytes(self, owner: str) -> int:
        """Of uploads, and of artifacts and curves of jobs and trials: each as often as a record names it, whoever else
        may have the same bytes."""

    def open_jobs(self, owner: str) -> int:
        """How many of the jobs have not finished."""


class Tallies(Protocol):
    def tally(self) -> Tally:
        """Counts for whoever watches. Costs about what a list costs, whatever the number of records."""


class Retention(Protocol):
    """What is too old goes, unless it is pinned."""

    def pin(self, owner: str, id: str, pinned: bool) -> bool:
        """Of an upload or a job. False when there is none."""

    def expired(self, expiry: Expiry) -> list[Expired]:
        """All that are too old and not pinned, the oldest first, with those that are still used."""

    def expire(self, expiry: Expiry, limit: int) -> list[Expired]:
        """Remove the `limit` oldest of those that no job uses, as `delete_upload` and `delete_job` do; answer which."""


class Webhooks(Protocol):
    """A job, model or dataset that comes to a state makes, in the same transaction, one delivery for each webhook of
    its owner that asks for that event."""

    def add_webhook(self, webhook: Webhook) -> None:
        """`TooMany` beyond `MAX_WEBHOOKS` of one owner."""

    def webhook(self, owner: str, id: str) -> Webhook | None: ...

    def webhooks(self, owner: str, page: Page) -> list[Webhook]: ...

    def delete_webhook(self, owner: str, id: str) -> bool:
        """With its deliveries. False when there is none."""

    def deliveries(self, webhook: str, page: Page) -> list[Delivery]: ...

    def take_delivery(self, now: float, seconds: float) -> tuple[Webhook, Delivery] | None:
        """Take the one that has been due for longest: attempt + 1, nobody else's until now + seconds. One of a webhook
        to which another is being sent waits for that, so that a slow receiver takes one sender at most."""

    def settle_delivery(
        self, id: str, attempt: int, now: float, status: int | None, error: str | None, chance: float
    ) -> bool:
        """What became of an attempt (`deliveries.answered`). False when fenced: another has taken it since."""

    def replay_delivery(self, webhook: str, id: str, now: float) -> Delivery | None:
        """Due at once (`deliveries.replaying`); None when there is none."""

    def forget_deliveries(self, before: float) -> int:
        """Remove those that have ended and are of events before then; how many."""


class Transfers(Protocol):
    """Uploads that come in parts. Their bytes are elsewhere (`LocalPartials`)."""

    def add_transfer(self, transfer: Transfer) -> None:
        """`TooMany` beyond `MAX_TRANSFERS` of one owner that are open."""

    def transfer(self, owner: str, id: str, now: float) -> Transfer | None:
        """None also once it has expired."""

    def extend_transfer(self, id: str, expires_at: float) -> bool:
        """It lasts until then. False when it is no longer there."""

    def settle_transfer(self, id: str, upload: str | None, problem: dict[str, Any] | None) -> None:
        """It is complete: the upload that it became, or why it became none. What it says already stays."""

    def delete_transfer(self, owner: str, id: str) -> bool: ...

    def forget_transfers(self, now: float) -> int:
        """Remove those that have expired; how many."""


class Checkpoints(Protocol):
    """What jobs and trials can go on after on another host. While they are unfinished, their blobs are live."""

    def keep_checkpoint(self, attempt: int, checkpoint: Checkpoint) -> bool:
        """Put it in the place of the item's last one in that slot; one of a `finished` step ends what is `unfinished`.
        False when fenced."""

    def checkpoints(self, item: str) -> list[Checkpoint]:
        """Those of a job or trial, by slot."""


class Records(
    Uploads,
    Inquiries,
    Jobs,
    Studies,
    Leases,
    Workers,
    Durations,
    Keys,
    Audit,
    Usage,
    Tallies,
    Retention,
    Webhooks,
    Transfers,
    Checkpoints,
    Protocol,
):
    def ping(self) -> None:
        """Raises whatever the store raises when nothing can be read from it or changed in it, within two seconds
        wherever it answers at all."""

    def live_blobs(self, without: Collection[str] = frozenset()) -> set[str]:
        """The SHA-256 of every blob that a record names, but for uploads and jobs with these ids, and what goes with
        them."""


class BlobWriter(Protocol):
    """Bytes on their way in. `commit` makes them durable (fsync, rename) and answers (sha256, size)."""

    def write(self, chunk: bytes) -> None: ...

    def waits(self) -> bool:
        """Whether the next `write` may have to wait for a server: then it is for a thread."""

    def digest(self) -> str:
        """The SHA-256 so far, in hex."""

    def commit(self) -> tuple[str, int]: ...

    def abort(self) -> None:
        """Forget them. Harmless after `commit`, so it can stand in a `finally`."""


class RemoteObject(Protocol):
    """A blob that lies on a server. What reads it raises `StoreAway` when the server cannot be reached."""

    @property
    def size(self) -> int: ...

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, a few MiB at a time."""

    def url(self) -> str | None:
        """Where whoever has the address can GET it for a while; None where downloads are to pass through us."""

    def block_hashes(self) -> bytes | None:
        """What was kept by `keep_block_hashes`; None where nothing was."""

    def keep_block_hashes(self, hashes: bytes) -> None:
        """By whoever has read and verified all of it: what a part of it is known by. They go with the blob."""


class Blobs(Protocol):
    """Content-addressed bytes: written once, never changed. `StoreAway` where the store cannot be reached."""

    def writer(self) -> BlobWriter: ...

    def put_file(self, path: Path) -> tuple[str, int]:
        """Copy a file in. `OSError` when it is not there or is a symbolic link, `ValueError` when it is no file."""

    def take_file(self, path: Path, sha256: str) -> None:
        """Keep a file whose SHA-256 is known, and which is nobody else's from then on: it is gone from where it was."""

    def open(self, sha256: str) -> BinaryIO | None: ...

    def size(self, sha256: str) -> int | None: ...

    def source(self, sha256: str) -> Path | RemoteObject:
        """The store's own read-only file, or the object on its server. `FileNotFoundError` when there is none."""

    def sweep(self, live: set[str], older_than: float, *, remove: bool = True) -> Iterator[str]:
        """Remove, and name, what is not live and was last written (or put again) before `older_than`. Without `remove`
        only name it."""

    def ping(self) -> None:
        """Raises `OSError` when nothing can be written."""
