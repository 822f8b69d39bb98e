"""The port `Tallies` in SQL. What is grouped and added up stands in one index each: no record is read."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, literal, null, select, union_all

from app.storage.kinds import USUAL
from app.storage.records import (
    FAMILIES,
    STEP_BOUNDS,
    Family,
    Group,
    Queue,
    QueueTally,
    ReaperTally,
    StepTally,
    Tally,
)
from app.storage.sql_base import SqlStore
from app.storage.sql_conditions import BY_FAMILY, waiting
from app.storage.tables import durations, inquiries, jobs, queues, trials, uploads
from winnow.contract.capability import queue_for


class SqlTallies(SqlStore):
    def tally(self) -> Tally:
        with self.reading() as connection:
            return Tally(
                groups=_groups(connection),
                queues=_queues(connection),
                reaped=_reaped(connection),
                steps=[*_steps(connection)],
            )


def _groups(connection: Connection) -> list[Group]:
    rows = connection.execute(union_all(*_grouped()))
    groups = (
        Group(kind=kind, state=state, outcome=outcome, count=count, size_bytes=int(size))
        for kind, state, outcome, count, size in rows
    )
    return sorted(groups, key=lambda group: (group.kind, group.state, group.outcome or ""))


def _grouped() -> list[Select[Any]]:
    """kind, state, outcome, how many, bytes."""
    j, u, q, t = jobs.c, uploads.c, inquiries.c, trials.c
    count, none, nothing = func.count(), null(), literal(0)
    kind_of_job = case((j.searches, "search"), else_="job")
    made = _total(j.artifact_bytes) + _total(j.curves_bytes)
    return [
        select(u.kind, u.state, none, count, _total(u.size_bytes)).group_by(u.state, u.kind),
        select(q.kind, q.state, none, count, nothing).group_by(q.state, q.kind),
        select(kind_of_job, j.state, j.outcome, count, made).group_by(j.searches, j.state, j.outcome),
        select(t.role, t.state, none, count, _total(t.artifact_bytes)).group_by(t.state, t.role),
    ]


def _total(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _queues(connection: Connection) -> dict[Queue, QueueTally]:
    tallies = dict.fromkeys(USUAL.values(), QueueTally())
    for family, tables in BY_FAMILY.items():
        for t in tables:
            needs = [t.c.needs] if "needs" in t.c else []
            counted = (
                select(func.count(), func.min(t.c.published_at), *needs).where(waiting(t)).group_by(*needs)
            )
            for count, oldest, *need in connection.execute(counted):
                queue = queue_for(need[0]) if need else USUAL[family]
                tally = QueueTally(waiting=count, oldest=oldest)
                tallies[queue] = tallies.get(queue, QueueTally()) | tally
    return tallies


def _reaped(connection: Connection) -> dict[Family, ReaperTally]:
    rows = connection.execute(select(queues.c.name, queues.c.released, queues.c.republished)).all()
    known = {name: ReaperTally(released=r, republished=again) for name, r, again in rows}
    return {family: known.get(family, ReaperTally(released=0, republished=0)) for family in FAMILIES}


def _steps(connection: Connection) -> Iterator[StepTally]:
    within = [func.sum(case((durations.c.seconds <= bound, 1), else_=0)) for bound in STEP_BOUNDS]
    counted = select(durations.c.kind, func.count(), func.sum(durations.c.seconds), *within)
    for kind, count, seconds, *counts in connection.execute(
        counted.group_by(durations.c.kind).order_by(durations.c.kind)
    ):
        yield StepTally(kind=kind, within=tuple(map(int, counts)), count=count, seconds=seconds)
