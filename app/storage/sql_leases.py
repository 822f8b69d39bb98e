"""The port `Leases` in SQL: every change is one guarded UPDATE, or is made to a row that is locked."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, update

from app.storage import searches
from app.storage.fairness import in_order, together
from app.storage.kinds import USUAL, by_age, families_of, family_of, kind_of, queue_of, wake_of
from app.storage.messages import state_event
from app.storage.records import (
    FAMILIES,
    Event,
    Family,
    Inquiry,
    Item,
    Job,
    Leased,
    Queue,
    Reaped,
    Study,
    Taker,
    Trial,
    Upload,
    Wake,
)
from app.storage.sql_base import TABLES, Some, SqlStore, add_events, from_row, held, item_from, table_of
from app.storage.sql_conditions import BY_FAMILY, leased, takeable, target, waiting
from app.storage.sql_rows import SqlRows, locked_item
from app.storage.sql_turns import best_of, had_turn, shares, take_turns, what_waits
from app.storage.tables import jobs, queues, studies, trials, workers
from winnow.contract.capability import queue_for


class SqlLeases(SqlStore):
    def claim(
        self,
        id: str,
        now: float,
        seconds: float,
        worker: str | None = None,
        elsewhere: Collection[str] = frozenset(),
        holder: str | None = None,
    ) -> Item | None:
        taker = Taker(id=holder or "", host=worker, capabilities=frozenset(), elsewhere=frozenset(elsewhere))
        with self.writing() as connection:
            return _claim(connection, id, now, seconds, taker)

    def claim_next(self, taker: Taker, now: float, seconds: float) -> Item | None:
        with self.writing() as connection:
            if _drains(connection, taker.id):
                return None
            for family in families_of(taker.capabilities):
                take_turns(connection, family)
                if (item := _next(connection, family, taker, now, seconds)) is not None:
                    return item
            return None

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
            mine = [family for family in FAMILIES if _take_turn(connection, family, now, look_seconds)]
            waiting = {
                queue: count for family in mine for queue, count in _count_waiting(connection, family).items()
            }
            released = by_age({item.id: item for item in waits}.values())
            for family, count in Counter(family_of(queue_of(item)) for item in released).items():
                _count(connection, family, released=count)
        return Reaped(released=[wake_of(item) for item in released], waiting=waiting)

    def republish(self, queue: Queue, count: int, now: float, published_before: float) -> list[Wake]:
        tables = BY_FAMILY[family_of(queue)]
        with self.writing() as connection:
            stale = [row for t in tables for row in _stale(connection, t, queue, count, published_before)]
            oldest = sorted(stale, key=lambda row: (row.published_at, row.created_at, row.id))[:count]
            for t in tables:
                ids = [row.id for row in oldest if table_of(row.id) is t]
                connection.execute(update(t).where(t.c.id.in_(ids)).values(published_at=now))
            if oldest:
                _count(connection, family_of(queue), republished=len(oldest))
        return [Wake(queue=queue, id=id) for _, id in sorted((row.created_at, row.id) for row in oldest)]

    def held(self) -> list[Leased]:
        with self.reading() as connection:
            items = [
                from_row(kind, row)
                for kind, t in TABLES.items()
                for row in connection.execute(select(t).where(leased(t)))
            ]
        return sorted(items, key=lambda item: item.id)


def _claim(connection: Connection, id: str, now: float, seconds: float, taker: Taker) -> Item | None:
    t, kind = table_of(id), kind_of(id)
    changes = {"attempt": t.c.attempt + 1, "lease_until": now + seconds, "holder": taker.id or None}
    if kind is Job:
        changes |= {"state": "running", "started_at": func.coalesce(t.c.started_at, now)}
    if kind is Trial:
        changes |= {"state": "running", "started_at": now, "worker": taker.host}
    wanted = [t.c.id == id, takeable(t, now)]
    if kind in (Job, Trial) and taker.elsewhere:
        wanted.append(target(t).not_in(taker.elsewhere))
    row = connection.execute(update(t).where(*wanted).values(changes).returning(t)).one_or_none()
    if row is None:
        return None
    item = item_from(id, row)
    if isinstance(item, Job):
        add_events(connection, [state_event(item, now)])
    if isinstance(item, Study):
        searches.begin_turn(SqlRows(connection), item, now)
    return item


def _next(connection: Connection, family: Family, taker: Taker, now: float, seconds: float) -> Item | None:
    """The owners in turn, until one has something that can be taken; what is cancelled meanwhile is no longer chosen
    the next time."""
    waiting = what_waits(connection, family)
    able = {need: counts for need, counts in waiting.items() if {*need} <= taker.capabilities}
    for owner in in_order(shares(connection, family, together(able.values()))):
        while (id := best_of(connection, family, owner, [*able], taker, now)) is not None:
            if (item := _claim(connection, id, now, seconds, taker)) is not None:
                had_turn(connection, family, owner)
                return item
    return None


def _drains(connection: Connection, worker: str) -> bool:
    query = select(workers.c.draining).where(workers.c.id == worker)
    return bool(connection.execute(query).scalar())


def _stale(
    connection: Connection, t: Table, queue: Queue, count: int, published_before: float
) -> Sequence[Any]:
    """At most `count` of those that were published longest ago, which nobody else can change now."""
    query = select(t.c.id, t.c.created_at, t.c.published_at)
    query = query.where(waiting(t), t.c.published_at <= published_before)
    if "needs" in t.c:
        known = connection.execute(select(t.c.needs).where(waiting(t)).distinct()).scalars()
        query = query.where(t.c.needs.in_([need for need in known if queue_for(need) == queue]))
    oldest = query.order_by(t.c.published_at, t.c.created_at, t.c.id).limit(count)
    return connection.execute(oldest.with_for_update(skip_locked=True)).all()


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


def _take_turn(connection: Connection, family: Family, now: float, look_seconds: float) -> bool:
    """A time that lies ahead, from before a clock was set back, keeps nobody waiting."""
    recent = (queues.c.looked_at > now - look_seconds) & (queues.c.looked_at < now + look_seconds)
    mine = update(queues).where(queues.c.name == family, ~recent).values(looked_at=now)
    return connection.execute(mine).rowcount == 1


def _count_waiting(connection: Connection, family: Family) -> dict[Queue, int]:
    """Of each queue in which something waits, and of the family's first in any case."""
    counts = Counter[Queue]({USUAL[family]: 0})
    for need, of_owners in what_waits(connection, family).items():
        counts[queue_for(need)] += sum(of_owners.values())
    return dict(counts)


def _count(connection: Connection, family: Family, **more: int) -> None:
    changes = {name: queues.c[name] + count for name, count in more.items()}
    connection.execute(update(queues).where(queues.c.name == family).values(changes))
