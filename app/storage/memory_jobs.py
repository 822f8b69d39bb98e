"""The port `Jobs` in memory."""

from collections.abc import Collection, Sequence
from copy import deepcopy

from app.storage import rules, searches
from app.storage.fairness import position
from app.storage.kinds import check_id
from app.storage.memory_base import MemoryRows, MemoryStore, paged
from app.storage.messages import state_event
from app.storage.ports import Conflict, Gone, KeyReused
from app.storage.records import Event, IdempotencyKey, Inquiry, Job, JobFilter, Page, Study, Trial, Upload
from winnow.contract.job import FINISHED


class MemoryJobs(MemoryStore):
    def add_job(self, job: Job, key: IdempotencyKey | None, trials: Sequence[Trial] = ()) -> tuple[Job, bool]:
        check_id(job)
        for trial in trials:
            check_id(trial)
        with self._lock:
            if key is not None and (known := self.replayed(job.owner, key)):
                return known, False
            self._check_uses(job)
            if key is not None:
                self._keys[job.owner, key.key] = (key, job.id)
            stored = self._put(job, published=job.created_at)
            if job.searches:
                rows = MemoryRows(self)
                rows.add(searches.study_for(job))
                for trial in trials:
                    rows.add(trial)
            self._log(state_event(job, job.created_at))
            return stored, True

    def replayed(self, owner: str, key: IdempotencyKey) -> Job | None:
        with self._lock:
            if (owner, key.key) not in self._keys:
                return None
            known, id = self._keys[owner, key.key]
            if known.fingerprint != key.fingerprint:
                raise KeyReused(f"the key {key.key!r} was used for {id} with another request")
            return deepcopy(self._get(Job, id))

    def _check_uses(self, job: Job) -> None:
        for id in job.uses:
            upload = self._get(Upload, id)
            if upload is None or upload.owner != job.owner:
                raise Gone(id)

    def job(self, owner: str, id: str) -> Job | None:
        with self._lock:
            known = self._get(Job, id)
            return deepcopy(known) if known and known.owner == owner else None

    def any_job(self, id: str) -> Job | None:
        with self._lock:
            return deepcopy(self._get(Job, id))

    def jobs(self, owner: str, filter: JobFilter, page: Page) -> list[Job]:
        with self._lock:
            return paged((j for j in self._all(Job) if j.owner == owner and _fits(j, filter)), page)

    def job_in_queue(self, owner: str, id: str) -> tuple[Job, int | None] | None:
        with self._lock:
            job = self.job(owner, id)
            return None if job is None else (job, self.queue_position(id))

    def queue_position(self, id: str) -> int | None:
        return self.queue_positions([id]).get(id)

    def queue_positions(self, ids: Collection[str]) -> dict[str, int]:
        with self._lock:
            queued = sorted((j for j in self._all(Job) if j.state == rules.QUEUED), key=rules.order)
            positions = {}
            for job in (j for j in queued if j.id in ids):
                same = [j for j in queued if j.needs == job.needs]
                ahead = [j.id for j in same if j.owner == job.owner].index(job.id)
                positions[job.id] = position(job.owner, ahead, self._shares("work", same))
            return positions

    def cancel_job(self, owner: str, id: str, now: float) -> Job | None:
        with self._lock:
            job = self.job(owner, id)
            if job is None or job.state in ("cancelling", "cancelled"):
                return job
            if job.state in FINISHED:
                raise Conflict(f"{id} is {job.state}")
            if job.searches:
                return searches.cancel(MemoryRows(self), job, now)
            return self._change(job, rules.cancelling(job, now), now)

    def retry_job(self, owner: str, id: str, now: float, more_attempts: int) -> Job | None:
        with self._lock:
            job = self.job(owner, id)
            if job is None:
                return None
            if job.state not in ("failed", "cancelled"):
                raise Conflict(f"{id} is {job.state}")
            self._check_uses(job)
            if job.searches:
                return searches.retry(MemoryRows(self), job, now, more_attempts)
            return self._change(job, {**rules.retrying(job, now, more_attempts), "published_at": now}, now)

    def delete_job(self, owner: str, id: str) -> bool:
        with self._lock:
            job = self.job(owner, id)
            if job is None:
                return False
            if job.state not in FINISHED:
                raise Conflict(f"{id} is {job.state}")
            its: list[Study | Trial | Inquiry] = [*self._all(Study), *self._all(Trial), *self._all(Inquiry)]
            self._remove([job, *(item for item in its if item.job == id)])
            self._keys = {name: value for name, value in self._keys.items() if value[1] != id}
            self._events = [event for event in self._events if event.job != id]
            return True

    def events(self, job: str, after: int, limit: int) -> list[Event]:
        with self._lock:
            return deepcopy([e for e in self._events if e.job == job and e.id > after][:limit])

    def sampled_events(self, job: str, names: Sequence[str], most: int) -> list[Event]:
        with self._lock:
            logged = [e for e in self._events if e.job == job and e.type == "log"]
            chosen = [_evenly([e for e in logged if e.values.get(name) is not None], most) for name in names]
            return deepcopy(sorted({e.id: e for some in chosen for e in some}.values(), key=lambda e: e.id))


def _evenly(events: list[Event], most: int) -> list[Event]:
    """Every n-th, counted from the last one back, and the first."""
    every = -(-len(events) // most) or 1
    return [*events[:1], *events[::-1][::every]]


def _fits(job: Job, filter: JobFilter) -> bool:
    return (
        filter.state in (None, job.state)
        and filter.model in (None, job.model)
        and filter.tags.items() <= job.tags.items()
        and (filter.since is None or filter.since <= job.created_at)
        and (filter.until is None or job.created_at < filter.until)
    )
