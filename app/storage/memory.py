"""Records in this process's memory, behind one lock. For tests, and to show what a store has to do."""

import json
from collections.abc import Callable, Collection, Iterable
from copy import deepcopy
from dataclasses import replace
from threading import RLock
from typing import Any, TypeVar

from app.storage import rules
from app.storage.ports import Conflict, Gone, InUse, KeyReused
from app.storage.records import (
    QUEUES,
    Event,
    IdempotencyKey,
    Inquiry,
    Item,
    Job,
    JobFilter,
    Leased,
    Page,
    Queue,
    Reaped,
    Upload,
    UploadKind,
    Wake,
    Worker,
)
from winnow.contract.job import FINISHED

Some = TypeVar("Some", bound=Item)
AnyLeased = TypeVar("AnyLeased", bound=Leased)


class MemoryRecords:
    """`app.storage.ports.Records`, thread-safe, gone with the process."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._uploads: dict[str, Upload] = {}
        self._inquiries: dict[str, Inquiry] = {}
        self._jobs: dict[str, Job] = {}
        self._published: dict[str, float] = {}
        self._looked: dict[Queue, float] = dict.fromkeys(QUEUES, 0.0)
        self._keys: dict[tuple[str, str], tuple[IdempotencyKey, str]] = {}
        self._events: list[Event] = []
        self._workers: dict[str, Worker] = {}
        self._last_event = 0

    def ping(self) -> None:
        pass

    def worker_seen(self, worker: Worker, forget_before: float) -> None:
        with self._lock:
            kept = {id: known for id, known in self._workers.items() if known.last_seen >= forget_before}
            self._workers = kept | {worker.id: deepcopy(worker)}

    def workers(self, seen_since: float) -> list[Worker]:
        with self._lock:
            lately = [worker for worker in self._workers.values() if worker.last_seen >= seen_since]
            return deepcopy(sorted(lately, key=lambda worker: (worker.started_at, worker.id)))

    def live_blobs(self) -> set[str]:
        with self._lock:
            of_uploads = {name for u in self._uploads.values() for name in (u.sha256, u.converted)}
            of_jobs = {getattr(job, name) for job in self._jobs.values() for name in rules.MADE}
            of_inquiries = {inquiry.answer_sha256 for inquiry in self._inquiries.values()}
        return {name for name in of_uploads | of_inquiries | of_jobs if name is not None}

    # uploads

    def add_upload(self, upload: Upload) -> tuple[Upload, bool]:
        rules.check_id(upload)
        with self._lock:
            same = next(filter(_same_identity(upload), self._uploads.values()), None)
            if same is None:
                return self._put(upload, published=upload.created_at), True
            if same.state != "rejected":
                return deepcopy(same), False
            again = replace(same, **rules.inspecting_again(same, upload.max_attempts))
            return self._put(again, published=upload.created_at), True

    def upload(self, owner: str, kind: UploadKind, id: str) -> Upload | None:
        with self._lock:
            found = self._uploads.get(id)
            return deepcopy(found) if found and (found.owner, found.kind) == (owner, kind) else None

    def uploads(self, owner: str, kind: UploadKind, page: Page) -> list[Upload]:
        with self._lock:
            return _paged((u for u in self._uploads.values() if (u.owner, u.kind) == (owner, kind)), page)

    def declare(
        self, owner: str, id: str, declaration: dict[str, Any], more_attempts: int = 3
    ) -> Upload | None:
        with self._lock:
            upload = self.upload(owner, "dataset", id)
            if upload is None:
                return None
            if used := [job.id for job in self._jobs.values() if id in job.uses]:
                raise Conflict(f"{id} is used by {', '.join(used)}")
            changed = replace(upload, declaration=declaration)
            for other in filter(_same_identity(changed), self._uploads.values()):
                if other.id != id:
                    raise Conflict(f"{other.id} has the same content and declaration")
            return self._put(replace(changed, **rules.inspecting_again(upload, more_attempts)))

    def delete_upload(self, owner: str, kind: UploadKind, id: str) -> bool:
        with self._lock:
            if self.upload(owner, kind, id) is None:
                return False
            if using := [j.id for j in self._jobs.values() if id in j.uses and rules.unfinished(j)]:
                raise InUse(sorted(using))
            del self._uploads[id], self._published[id]
            for about in [i.id for i in self._inquiries.values() if id in (i.model, i.dataset)]:
                del self._inquiries[about], self._published[about]
            return True

    # inquiries

    def add_inquiry(self, inquiry: Inquiry) -> tuple[Inquiry, bool]:
        rules.check_id(inquiry)
        identity = rules.inquiry_identity(inquiry)
        with self._lock:
            for id, kind in sorted({(inquiry.model, "model"), (inquiry.dataset, "dataset")}):
                if self.upload(inquiry.owner, kind, id) is None:  # type: ignore[arg-type]
                    raise Gone(id)
            known = (i for i in self._inquiries.values() if rules.inquiry_identity(i) == identity)
            same = next(known, None)
            if same is None:
                return self._put(inquiry, published=inquiry.created_at), True
            if same.state != "rejected":
                return deepcopy(same), False
            again = replace(same, **rules.asked_again(same, inquiry.max_attempts))
            return self._put(again, published=inquiry.created_at), True

    def inquiry(self, owner: str, id: str) -> Inquiry | None:
        with self._lock:
            known = self._inquiries.get(id)
            return deepcopy(known) if known and known.owner == owner else None

    # jobs

    def add_job(self, job: Job, key: IdempotencyKey | None) -> tuple[Job, bool]:
        rules.check_id(job)
        with self._lock:
            if key is not None and (known := self.replayed(job.owner, key)):
                return known, False
            self._check_uses(job)
            if key is not None:
                self._keys[job.owner, key.key] = (key, job.id)
            stored = self._put(job, published=job.created_at)
            self._log(rules.state_event(job, job.created_at))
            return stored, True

    def replayed(self, owner: str, key: IdempotencyKey) -> Job | None:
        with self._lock:
            if (owner, key.key) not in self._keys:
                return None
            known, id = self._keys[owner, key.key]
            if known.fingerprint != key.fingerprint:
                raise KeyReused(f"the key {key.key!r} was used for {id} with another request")
            return deepcopy(self._jobs[id])

    def _check_uses(self, job: Job) -> None:
        for id in job.uses:
            if id not in self._uploads or self._uploads[id].owner != job.owner:
                raise Gone(id)

    def job(self, owner: str, id: str) -> Job | None:
        with self._lock:
            found = self._jobs.get(id)
            return deepcopy(found) if found and found.owner == owner else None

    def jobs(self, owner: str, filter: JobFilter, page: Page) -> list[Job]:
        with self._lock:
            return _paged((j for j in self._jobs.values() if j.owner == owner and _fits(j, filter)), page)

    def queue_position(self, id: str) -> int | None:
        with self._lock:
            job = self._jobs.get(id)
            if job is None or job.state != "queued":
                return None
            mine = (job.created_at, job.id)
            return sum((j.created_at, j.id) <= mine for j in self._jobs.values() if j.state == "queued")

    def queue_positions(self, ids: Collection[str]) -> dict[str, int]:
        with self._lock:
            queued = sorted((j.created_at, j.id) for j in self._jobs.values() if j.state == "queued")
            return {id: position for position, (_, id) in enumerate(queued, 1) if id in ids}

    def cancel_job(self, owner: str, id: str, now: float) -> Job | None:
        with self._lock:
            job = self.job(owner, id)
            if job is None or job.state in ("cancelling", "cancelled"):
                return job
            if job.state in FINISHED:
                raise Conflict(f"{id} is {job.state}")
            return self._change(job, rules.cancelling(job, now), now)

    def retry_job(self, owner: str, id: str, now: float, more_attempts: int) -> Job | None:
        with self._lock:
            job = self.job(owner, id)
            if job is None:
                return None
            if job.state not in ("failed", "cancelled"):
                raise Conflict(f"{id} is {job.state}")
            self._check_uses(job)
            self._published[id] = now
            return self._change(job, rules.retrying(job, more_attempts), now)

    def delete_job(self, owner: str, id: str) -> bool:
        with self._lock:
            job = self.job(owner, id)
            if job is None:
                return False
            if job.state not in FINISHED:
                raise Conflict(f"{id} is {job.state}")
            del self._jobs[id], self._published[id]
            self._keys = {name: value for name, value in self._keys.items() if value[1] != id}
            self._events = [event for event in self._events if event.job != id]
            return True

    def events(self, job: str, after: int, limit: int) -> list[Event]:
        with self._lock:
            return deepcopy([e for e in self._events if e.job == job and e.id > after][:limit])

    # leases

    def claim(
        self, id: str, now: float, seconds: float, elsewhere: Collection[str] = frozenset()
    ) -> Item | None:
        with self._lock:
            item = self._find(id)
            if item is None or not rules.takeable(item, now) or rules.target_of(item) in elsewhere:
                return None
            return self._change(item, rules.claiming(item, now, seconds), now)

    def renew(self, id: str, attempt: int, now: float, seconds: float) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            if item is None:
                return False
            self._put(replace(item, lease_until=now + seconds))
            return True

    def cancel_requested(self, id: str, attempt: int) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            return item is None or item.cancel_requested

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
        with self._lock:
            item = self._held(id, attempt)
            if isinstance(item, Job):
                self._put(replace(item, step=step, progress=progress, seconds_left=seconds_left))
                for event in events:
                    self._log(replace(event, job=id, attempt=attempt))
            return item is not None

    def finish(self, id: str, attempt: int, now: float, changes: dict[str, Any]) -> bool:
        complete = rules.finishing(id, now, changes)
        with self._lock:
            item = self._held(id, attempt)
            if item is None or (item.cancel_requested and changes["state"] in rules.UNCANCELLED):
                return False
            self._change(item, complete, now)
            return True

    def release(self, id: str, attempt: int, now: float, blame: bool = True) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            if item is None:
                return False
            self._change(item, rules.releasing(item, now, blame), now)
            self._published[id] = now
            return True

    def reap(self, now: float, look_seconds: float) -> Reaped:
        with self._lock:
            expired = [i for i in self._all() if i.lease_until is not None and i.lease_until <= now]
            changed = [self._change(i, rules.releasing(i, now), now) for i in expired]
            turns = [q for q, looked in self._looked.items() if abs(now - looked) >= look_seconds]
            self._looked |= dict.fromkeys(turns, now)
            return Reaped(
                released=self._publish([item for item in changed if rules.waiting(item)], now),
                waiting={queue: len(self._waiting(queue)) for queue in turns},
            )

    def republish(self, queue: Queue, count: int, now: float, published_before: float) -> list[Wake]:
        with self._lock:
            stale = [i for i in self._waiting(queue) if self._published[i.id] <= published_before]
            stale.sort(key=lambda item: (self._published[item.id], item.created_at, item.id))
            return self._publish(stale[:count], now)

    def held(self) -> list[Leased]:
        with self._lock:
            leased = [item for item in self._all() if item.lease_until is not None]
            return deepcopy(sorted(leased, key=lambda item: item.id))

    # what they share; the lock is held

    def _all(self) -> list[Item]:
        return [*self._uploads.values(), *self._inquiries.values(), *self._jobs.values()]

    def _waiting(self, queue: Queue) -> list[Item]:
        return [item for item in self._all() if rules.waiting(item) and rules.queue_of(item.id) == queue]

    def _publish(self, items: Iterable[Item], now: float) -> list[Wake]:
        """The oldest first."""
        self._published |= dict.fromkeys((item.id for item in items), now)
        oldest = sorted(items, key=lambda item: (item.created_at, item.id))
        return [Wake(queue=rules.queue_of(item.id), id=item.id) for item in oldest]

    def _find(self, id: str) -> Item | None:
        return self._uploads.get(id) or self._inquiries.get(id) or self._jobs.get(id)

    def _held(self, id: str, attempt: int) -> Item | None:
        item = self._find(id)
        return item if rules.held(item, attempt) else None

    def _put(self, item: Some, published: float | None = None) -> Some:
        kept = _as_json(item)
        if isinstance(kept, Job):
            self._jobs[kept.id] = kept
        elif isinstance(kept, Inquiry):
            self._inquiries[kept.id] = kept
        else:
            self._uploads[kept.id] = kept
        if published is not None:
            self._published[item.id] = published
        return deepcopy(kept)

    def _change(self, item: Some, changes: rules.Changes, now: float) -> Some:
        changed = self._put(replace(item, **changes))
        if isinstance(changed, Job) and "state" in changes:
            self._log(rules.state_event(changed, now))
        return changed

    def _log(self, event: Event) -> None:
        self._last_event += 1
        self._events.append(replace(event, id=self._last_event, values=json.loads(json.dumps(event.values))))


def _same_identity(upload: Upload) -> Callable[[Upload], bool]:
    wanted = rules.identity(upload)
    return lambda other: rules.identity(other) == wanted


def _as_json(item: Some) -> Some:
    """The nested values as a database would give them back: copies, of what JSON has."""
    nested = {name: getattr(item, name) for name in rules.JSON_FIELDS if hasattr(item, name)}
    return replace(item, **json.loads(json.dumps(nested)))


def _fits(job: Job, filter: JobFilter) -> bool:
    return (
        filter.state in (None, job.state)
        and filter.model in (None, job.model)
        and filter.tags.items() <= job.tags.items()
        and (filter.since is None or filter.since <= job.created_at)
        and (filter.until is None or job.created_at < filter.until)
    )


def _paged(items: Iterable[AnyLeased], page: Page) -> list[AnyLeased]:
    newest = sorted(items, key=lambda item: (item.created_at, item.id), reverse=True)
    unseen = [item for item in newest if page.after is None or (item.created_at, item.id) < page.after]
    return deepcopy(unseen[: page.limit])
