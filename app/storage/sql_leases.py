"""The port `Leases` in SQL: every change is one guarded UPDATE, or is made to a row that is locked."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, update

from app.storage import rules, searches
from app.storage.kinds import kind_of, queue_of
from app.storage.messages import state_event
from app.storage.records import (
    QUEUES,
    Event,
    Inquiry,
    Item,
    Job,
    Leased,
    Queue,
    Reaped,
    Study,
    Trial,
    Upload,
    Wake,
)
from app.storage.sql_base import TABLES, Some, SqlStore, add_events, from_row, held, item_from, table_of
from app.storage.sql_rows import SqlRows, locked_item
from app.storage.tables import inquiries, jobs, queues, studies, trials, uploads
from winnow.contract.target import DEFAULT_TARGET

BY_QUEUE: Final[dict[Queue, tuple[Table, ...]]] = {
    "inspect": (uploads, inquiries),
    "work": (jobs, studies, trials),
}


class SqlLeases(SqlStore):
    def claim(
        self,
        id: str,
        now: float,
        seconds: float,
        worker: str | None = None,
        elsewhere: Collection[str] = frozenset(),
    ) -> Item | None:
        t, kind = table_of(id), kind_of(id)
        changes = {"attempt": t.c.attempt + 1, "lease_until": now + seconds}
        if kind is Job:
            changes |= {"state": "running", "started_at": func.coalesce(t.c.started_at, now)}
        if kind is Trial:
            changes |= {"state": "running", "started_at": now, "worker": worker}
        wanted = [t.c.id == id, _takeable(t, now)]
        if kind in (Job, Trial) and elsewhere:
            wanted.append(_target(t).not_in(elsewhere))
        taken = update(t).where(*wanted).values(changes).returning(t)
        with self.writing() as connection:
            row = connection.execute(taken).one_or_none()
            if row is None:
                return None
            item = item_from(id, row)
            if isinstance(item, Job):
                add_events(connection, [state_event(item, now)])
            if isinstance(item, Study):
                searches.begin_turn(SqlRows(connection), item, now)
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
        kind = kind_of(id)
        if kind not in (Job, Trial):
            return not self.cancel_requested(id, attempt)
        with self.writing() as connection:
            if kind is Trial:
                return _log_of_trial(connection, id, attempt, events)
            changes = {"step": step, "progress": progress, "seconds_left": seconds_left}
            if connection.execute(update(jobs).where(held(id, attempt)).values(changes)).rowcount == 0:
                return False
            add_events(connection, (replace(event, job=id, attempt=attempt) for event in events))
            return True

    def finish(
        self, id: str, attempt: int, now: float, changes: dict[str, Any], job: dict[str, Any] | None = None
    ) -> bool:
        with self.writing() as connection:
            item = locked_item(connection, id, attempt)
            return item is not None and searches.finish(SqlRows(connection), item, now, changes, job)

    def release(self, id: str, attempt: int, now: float, blame: bool = True) -> bool:
        with self.writing() as connection:
            item = locked_item(connection, id, attempt)
            if item is not None:
                searches.release(SqlRows(connection), item, now, blame)
            return item is not None

    def reap(self, now: float, look_seconds: float) -> Reaped:
        with self.writing() as connection:
            waits = [*_release_expired(connection, now), *_release_expired_searches(connection, now)]
            turns = [queue for queue in QUEUES if _take_turn(connection, queue, now, look_seconds)]
            waiting = {queue: _count_waiting(connection, queue) for queue in turns}
            released = _wakes({(item.created_at, item.id) for item in waits})
            for queue, count in Counter(wake.queue for wake in released).items():
                _count(connection, queue, released=count)
        return Reaped(released=released, waiting=waiting)

    def republish(self, queue: Queue, count: int, now: float, published_before: float) -> list[Wake]:
        with self.writing() as connection:
            stale = [row for t in BY_QUEUE[queue] for row in _stale(connection, t, count, published_before)]
            oldest = sorted(stale, key=lambda row: (row.published_at, row.created_at, row.id))[:count]
            for t in BY_QUEUE[queue]:
                ids = [row.id for row in oldest if table_of(row.id) is t]
                connection.execute(update(t).where(t.c.id.in_(ids)).values(published_at=now))
            if oldest:
                _count(connection, queue, republished=len(oldest))
        return _wakes((row.created_at, row.id) for row in oldest)

    def held(self) -> list[Leased]:
        with self.reading() as connection:
            leased = [
                from_row(kind, row)
                for kind, t in TABLES.items()
                for row in connection.execute(select(t).where(t.c.lease_until.is_not(None)))
            ]
        return sorted(leased, key=lambda item: item.id)


def _stale(connection: Connection, t: Table, count: int, published_before: float) -> Sequence[Any]:
    """At most `count` of those that were published longest ago, which nobody else can change now."""
    query = select(t.c.id, t.c.created_at, t.c.published_at)
    query = query.where(waits_for_worker(t), t.c.published_at <= published_before)
    oldest = query.order_by(t.c.published_at, t.c.created_at, t.c.id).limit(count)
    return connection.execute(oldest.with_for_update(skip_locked=True)).all()


def _target(t: Table) -> ColumnElement[str]:
    """Of a job, or of the job that a trial is of."""
    asked = func.coalesce(jobs.c.request["target"].as_string(), DEFAULT_TARGET)
    return asked if t is jobs else select(asked).where(jobs.c.id == t.c.job).scalar_subquery()


def _takeable(t: Table, now: float) -> ColumnElement[bool]:
    """`rules.takeable` as a condition."""
    free = t.c.lease_until.is_(None) | (t.c.lease_until <= now)
    wanted: ColumnElement[bool] = t.c.state.not_in(rules.NEVER_TAKEN)
    if t is jobs:
        wanted &= ~jobs.c.searches
    return wanted & free & (t.c.attempt < t.c.max_attempts) & ~t.c.cancel_requested


def waits_for_worker(t: Table) -> ColumnElement[bool]:
    """`rules.waiting` as a condition, such that an index has it all: a queued job, a waiting trial is never held."""
    if t is jobs:
        return (t.c.state == rules.QUEUED) & ~jobs.c.searches
    if t is trials:
        return t.c.state == rules.WAITING
    return (t.c.state == (rules.DUE if t is studies else rules.INSPECTING)) & t.c.lease_until.is_(None)


def _log_of_trial(connection: Connection, id: str, attempt: int, events: Iterable[Event]) -> bool:
    row = connection.execute(select(trials).where(held(id, attempt))).one_or_none()
    if row is not None:
        trial = from_row(Trial, row)
        job = SqlRows(connection).job(trial.job)
        add_events(connection, (searches.event_of(event, trial, job) for event in events))
    return row is not None


def _release_expired(connection: Connection, now: float) -> list[Item]:
    """What waits again of all that is no part of a search."""
    rows = SqlRows(connection)
    gone = [item for kind in (Upload, Inquiry, Job) for item in _expired(connection, kind, now)]
    return [waits for item in gone for waits in searches.release(rows, item, now)]


def _release_expired_searches(connection: Connection, now: float) -> list[Item]:
    """A study goes before its trials: when it is given up they are stopped."""
    rows, waits = SqlRows(connection), list[Item]()
    lost = or_(
        studies.c.lease_until <= now,
        studies.c.job.in_(select(trials.c.job).where(trials.c.lease_until <= now)),
    )
    for study in connection.execute(
        select(studies.c.job).where(lost).order_by(studies.c.id).with_for_update(skip_locked=True)
    ).all():
        for kind in (Study, Trial):
            for item in _expired(connection, kind, now, TABLES[kind].c.job == study.job):
                waits += searches.release(rows, item, now)
    return waits


def _expired(
    connection: Connection, kind: type[Some], now: float, *conditions: ColumnElement[bool]
) -> list[Some]:
    """Rows that another reaper has in hand are left to it."""
    t = TABLES[kind]
    query = select(t).where(t.c.lease_until <= now, *conditions).with_for_update(skip_locked=True)
    return [from_row(kind, row) for row in connection.execute(query)]


def _take_turn(connection: Connection, queue: Queue, now: float, look_seconds: float) -> bool:
    """A time that lies ahead, from before a clock was set back, keeps nobody waiting."""
    recent = (queues.c.looked_at > now - look_seconds) & (queues.c.looked_at < now + look_seconds)
    mine = update(queues).where(queues.c.name == queue, ~recent).values(looked_at=now)
    return connection.execute(mine).rowcount == 1


def _count(connection: Connection, queue: Queue, **more: int) -> None:
    changes = {name: queues.c[name] + count for name, count in more.items()}
    connection.execute(update(queues).where(queues.c.name == queue).values(changes))


def _count_waiting(connection: Connection, queue: Queue) -> int:
    counts = (select(func.count()).select_from(t).where(waits_for_worker(t)) for t in BY_QUEUE[queue])
    return sum(connection.execute(count).scalar_one() for count in counts)


def _wakes(items: Iterable[tuple[float, str]]) -> list[Wake]:
    """The oldest first."""
    return [Wake(queue=queue_of(id), id=id) for _, id in sorted(items)]
