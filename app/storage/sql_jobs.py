"""The port `Jobs` in SQL."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select

from app.storage import rules, searches
from app.storage.kinds import check_id
from app.storage.messages import state_event
from app.storage.ports import Conflict, Gone, KeyReused
from app.storage.records import Event, IdempotencyKey, Job, JobFilter, Page, Trial
from app.storage.sql_base import add_events, change, from_row, locked, paged, unless_raced
from app.storage.sql_positions import NAMED, SqlPositions
from app.storage.sql_rows import SqlRows, lock_search
from app.storage.sql_samples import sampled_events
from app.storage.tables import events, idempotency_keys, job_tags, job_uses, jobs, uploads
from winnow.contract.job import FINISHED

_USED: Final = (
    select(uploads.c.id)
    .where(uploads.c.owner == bindparam("owner"), uploads.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(uploads.c.id)
    .with_for_update(read=True)
)


class SqlJobs(SqlPositions):
    def add_job(self, job: Job, key: IdempotencyKey | None, trials: Sequence[Trial] = ()) -> tuple[Job, bool]:
        check_id(job)
        for trial in trials:
            check_id(trial)
        return unless_raced(lambda: self._add_job(job, key, trials))

    def _add_job(self, job: Job, key: IdempotencyKey | None, trials: Sequence[Trial]) -> tuple[Job, bool]:
        with self.writing() as connection:
            if key is not None and (known := _replayed(connection, job.owner, key)):
                return known, False
            _check_uses(connection, job)
            connection.execute(insert(jobs), {**vars(job), "published_at": job.created_at})
            _index(connection, job)
            if key is not None:
                connection.execute(insert(idempotency_keys), {"owner": job.owner, "job": job.id, **vars(key)})
            if job.searches:
                rows = SqlRows(connection)
                rows.add(searches.study_for(job))
                for trial in trials:
                    rows.add(trial)
            add_events(connection, [state_event(job, job.created_at)])
            return job, True

    def replayed(self, owner: str, key: IdempotencyKey) -> Job | None:
        with self.reading() as connection:
            return _replayed(connection, owner, key)

    def job(self, owner: str, id: str) -> Job | None:
        with self.reading() as connection:
            row = connection.execute(NAMED, {"owner": owner, "id": id}).one_or_none()
        return None if row is None else from_row(Job, row)

    def any_job(self, id: str) -> Job | None:
        with self.reading() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == id)).one_or_none()
        return None if row is None else from_row(Job, row)

    def jobs(self, owner: str, filter: JobFilter, page: Page) -> list[Job]:
        query = select(jobs).where(jobs.c.owner == owner, *_conditions(filter))
        with self.reading() as connection:
            return [from_row(Job, row) for row in connection.execute(paged(query, jobs, page))]

    def cancel_job(self, owner: str, id: str, now: float) -> Job | None:
        with self.writing() as connection:
            job = _locked_job(connection, owner, id)
            if job is None or job.state in ("cancelling", "cancelled"):
                return job
            if job.state in FINISHED:
                raise Conflict(f"{id} is {job.state}")
            if job.searches:
                return searches.cancel(SqlRows(connection), job, now)
            return change(connection, job, rules.cancelling(job, now), now)

    def retry_job(self, owner: str, id: str, now: float, more_attempts: int) -> Job | None:
        with self.writing() as connection:
            job = _locked_job(connection, owner, id)
            if job is None:
                return None
            if job.state not in ("failed", "cancelled"):
                raise Conflict(f"{id} is {job.state}")
            _check_uses(connection, job)
            if job.searches:
                return searches.retry(SqlRows(connection), job, now, more_attempts)
            return change(
                connection, job, {**rules.retrying(job, now, more_attempts), "published_at": now}, now
            )

    def delete_job(self, owner: str, id: str) -> bool:
        with self.writing() as connection:
            job = _locked_job(connection, owner, id)
            if job is None:
                return False
            if job.state not in FINISHED:
                raise Conflict(f"{id} is {job.state}")
            connection.execute(delete(jobs).where(jobs.c.id == id))
            return True

    def events(self, job: str, after: int, limit: int) -> list[Event]:
        query = select(events).where(events.c.job == job, events.c.id > after)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(events.c.id).limit(limit))
            return [Event(**row._mapping) for row in rows]

    def sampled_events(self, job: str, names: Sequence[str], most: int) -> list[Event]:
        with self.reading() as connection:
            return sampled_events(connection, job, names, most)


def _locked_job(connection: Connection, owner: str, id: str) -> Job | None:
    lock_search(connection, id)
    row = locked(connection, (jobs.c.id == id) & (jobs.c.owner == owner), jobs)
    return None if row is None else from_row(Job, row)


def _replayed(connection: Connection, owner: str, key: IdempotencyKey) -> Job | None:
    t = idempotency_keys
    query = select(t.c.fingerprint, jobs).join(jobs, jobs.c.id == t.c.job)
    row = connection.execute(query.where(t.c.owner == owner, t.c.key == key.key)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise KeyReused(f"the key {key.key!r} was used for {row.id} with another request")
    return from_row(Job, row)


def _check_uses(connection: Connection, job: Job) -> None:
    """Locks the uploads until the transaction ends, so that none can be deleted behind its back."""
    there = set(connection.scalars(_USED, {"owner": job.owner, "ids": job.uses}))
    for id in job.uses:
        if id not in there:
            raise Gone(id)


def _index(connection: Connection, job: Job) -> None:
    uses = [{"job": job.id, "upload": id} for id in dict.fromkeys(job.uses)]
    tags = [{"job": job.id, "key": key, "value": value} for key, value in job.tags.items()]
    for table, rows in ((job_uses, uses), (job_tags, tags)):
        if rows:
            connection.execute(insert(table), rows)


def _conditions(filter: JobFilter) -> list[ColumnElement[bool]]:
    conditions = [_has_tag(key, value) for key, value in filter.tags.items()]
    if filter.state is not None:
        conditions.append(jobs.c.state == filter.state)
    if filter.model is not None:
        conditions.append(jobs.c.model == filter.model)
    if filter.since is not None:
        conditions.append(jobs.c.created_at >= filter.since)
    if filter.until is not None:
        conditions.append(jobs.c.created_at < filter.until)
    return conditions


def _has_tag(key: str, value: str) -> ColumnElement[bool]:
    tagged = select(job_tags.c.job).where(job_tags.c.key == key, job_tags.c.value == value)
    return jobs.c.id.in_(tagged)
