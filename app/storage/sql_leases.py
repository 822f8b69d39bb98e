"""The port `Leases` in SQL: every change is one guarded UPDATE, or is made to a row that is locked."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select, update

from app.storage import rules
from app.storage.ids import is_job
from app.storage.records import QUEUES, Event, Item, Job, Leased, Queue, Reaped, Wake
from app.storage.sql_base import (
    SqlStore,
    add_events,
    change,
    held,
    item_from,
    job_from,
    locked,
    table_of,
)
from app.storage.tables import inquiries, jobs, queues, uploads
from winnow.contract.job import FINISHED
from winnow.contract.target import DEFAULT_TARGET

TABLES: Final[dict[Queue, tuple[Table, ...]]] = {"inspect": (uploads, inquiries), "work": (jobs,)}
ALL: Final = tuple(table for tables in TABLES.values() for table in tables)


class SqlLeases(SqlStore):
    def claim(
        self, id: str, now: float, seconds: float, elsewhere: Collection[str] = frozenset()
    ) -> Item | None:
        t = table_of(id)
        changes = {"attempt": t.c.attempt + 1, "lease_until": now + seconds}
        if is_job(id):
            changes |= {"state": "running", "started_at": func.coalesce(t.c.started_at, now)}
        wanted = [t.c.id == id, _takeable(t, now)]
        if is_job(id) and elsewhere:
            target = func.coalesce(t.c.request["target"].as_string(), DEFAULT_TARGET)
            wanted.append(target.not_in(elsewhere))
        taken = update(t).where(*wanted).values(changes).returning(t)
        with self.writing() as connection:
            row = connection.execute(taken).one_or_none()
            if row is None:
                return None
            item = item_from(id, row)
            if isinstance(item, Job):
                add_events(connection, [rules.state_event(item, now)])
            return item

    def renew(self, id: str, attempt: int, now: float, seconds: float) -> bool:
        renewed = update(table_of(id)).where(held(id, attempt)).values(lease_until=now + seconds)
        with self.writing() as connection:
            return connection.execute(renewed).rowcount == 1

    def cancel_requested(self, id: str, attempt: int) -> bool:
        query = select(table_of(id).c.cancel_requested).where(held(id, attempt))
        with self.reading() as connection:
            return connection.execute(query).scalar() is not False

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
        if not is_job(id):
            return not self.cancel_requested(id, attempt)
        changes = {"step": step, "progress": progress, "seconds_left": seconds_left}
        with self.writing() as connection:
            if connection.execute(update(jobs).where(held(id, attempt)).values(changes)).rowcount == 0:
                return False
            add_events(connection, (replace(event, job=id, attempt=attempt) for event in events))
            return True

    def finish(self, id: str, attempt: int, now: float, changes: dict[str, Any]) -> bool:
        complete = rules.finishing(id, now, changes)
        t = table_of(id)
        allowed = held(id, attempt)
        if changes["state"] in rules.UNCANCELLED:
            allowed &= ~t.c.cancel_requested
        with self.writing() as connection:
            row = connection.execute(update(t).where(allowed).values(complete).returning(t)).one_or_none()
            if row is not None and is_job(id):
                add_events(connection, [rules.state_event(job_from(row), now)])
            return row is not None

    def release(self, id: str, attempt: int, now: float, blame: bool = True) -> bool:
        with self.writing() as connection:
            row = locked(connection, held(id, attempt), table_of(id))
            if row is not None:
                released = rules.releasing(item_from(id, row), now, blame)
                change(connection, id, {**released, "published_at": now}, now)
            return row is not None

    def reap(self, now: float, look_seconds: float) -> Reaped:
        with self.writing() as connection:
            released = [item for t in ALL for item in _release_expired(connection, t, now)]
            turns = [queue for queue in QUEUES if _take_turn(connection, queue, now, look_seconds)]
            waiting = {queue: _count_waiting(connection, queue) for queue in turns}
        return Reaped(released=_wakes((item.created_at, item.id) for item in released), waiting=waiting)

    def republish(self, queue: Queue, count: int, now: float, published_before: float) -> list[Wake]:
        with self.writing() as connection:
            stale = [row for t in TABLES[queue] for row in _stale(connection, t, count, published_before)]
            oldest = sorted(stale, key=lambda row: (row.published_at, row.created_at, row.id))[:count]
            for t in TABLES[queue]:
                ids = [row.id for row in oldest if table_of(row.id) is t]
                connection.execute(update(t).where(t.c.id.in_(ids)).values(published_at=now))
        return _wakes((row.created_at, row.id) for row in oldest)

    def held(self) -> list[Leased]:
        with self.reading() as connection:
            leased = [
                item_from(row.id, row)
                for t in ALL
                for row in connection.execute(select(t).where(t.c.lease_until.is_not(None)))
            ]
        return sorted(leased, key=lambda item: item.id)


def _stale(connection: Connection, t: Table, count: int, published_before: float) -> Sequence[Any]:
    """At most `count` of those that were published longest ago, which nobody else can change now."""
    query = select(t.c.id, t.c.created_at, t.c.published_at)
    query = query.where(_waiting(t), t.c.published_at <= published_before)
    oldest = query.order_by(t.c.published_at, t.c.created_at, t.c.id).limit(count)
    return connection.execute(oldest.with_for_update(skip_locked=True)).all()


def _takeable(t: Table, now: float) -> ColumnElement[bool]:
    """`rules.takeable` as a condition."""
    free = t.c.lease_until.is_(None) | (t.c.lease_until <= now)
    return _unfinished(t) & free & (t.c.attempt < t.c.max_attempts) & ~t.c.cancel_requested


def _unfinished(t: Table) -> ColumnElement[bool]:
    return t.c.state.not_in(FINISHED | rules.INSPECTED)


def _waiting(t: Table) -> ColumnElement[bool]:
    """`rules.waiting` as a condition, such that an index has it all: a queued job is never held."""
    return (
        t.c.state == rules.QUEUED
        if t is jobs
        else (t.c.state == rules.INSPECTING) & t.c.lease_until.is_(None)
    )


def _release_expired(connection: Connection, t: Table, now: float) -> list[Item]:
    """What waits again. Rows that another reaper has in hand are left to it."""
    expired = select(t).where(t.c.lease_until <= now).with_for_update(skip_locked=True)
    changed = [
        change(connection, row.id, {**rules.releasing(item_from(row.id, row), now), "published_at": now}, now)
        for row in connection.execute(expired).all()
    ]
    return [item for item in changed if rules.waiting(item)]


def _take_turn(connection: Connection, queue: Queue, now: float, look_seconds: float) -> bool:
    """A time that lies ahead, from before a clock was set back, keeps nobody waiting."""
    recent = (queues.c.looked_at > now - look_seconds) & (queues.c.looked_at < now + look_seconds)
    mine = update(queues).where(queues.c.name == queue, ~recent).values(looked_at=now)
    return connection.execute(mine).rowcount == 1


def _count_waiting(connection: Connection, queue: Queue) -> int:
    counts = (select(func.count()).select_from(t).where(_waiting(t)) for t in TABLES[queue])
    return sum(connection.execute(count).scalar_one() for count in counts)


def _wakes(items: Iterable[tuple[float, str]]) -> list[Wake]:
    """The oldest first."""
    return [Wake(queue=rules.queue_of(id), id=id) for _, id in sorted(items)]
