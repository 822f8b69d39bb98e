"""Places in the queue, in SQL, at the cost of a poll.

    position = fairness.position(owner, ahead, shares)

What waits before a job of its owner's own (`ahead`) is a range of one index. How much waits and runs for each owner
(`shares`) is the same for all who ask: this process keeps it for `KEPT_SECONDS`, by which changes are told late.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, func, select, tuple_

from app.storage import rules
from app.storage.fairness import Share, position
from app.storage.records import Job
from app.storage.sql_base import SqlStore, from_row
from app.storage.sql_turns import Needs, shares
from app.storage.tables import jobs

KEPT_SECONDS: Final = 0.5
MOST_KEPT: Final = 1000
"""Different needs: whoever sends jobs may make up ever new ones."""
QUEUED: Final = jobs.c.state == rules.QUEUED

COLUMNS: Final = ("id", "owner", "needs", "priority", "created_at")
NAMED: Final = select(jobs).where(*(jobs.c[name] == bindparam(name) for name in ("id", "owner")))
_GIVEN: Final = {name: bindparam(name, type_=jobs.c[name].type) for name in COLUMNS}
_SAME: Final = QUEUED & (jobs.c.needs == _GIVEN["needs"])
_MINE: Final = select(func.count()).where(_SAME, jobs.c.owner == _GIVEN["owner"])
_OLDER: Final = tuple_(jobs.c.created_at, jobs.c.id) < tuple_(_GIVEN["created_at"], _GIVEN["id"])
_QUEUED: Final = select(*(jobs.c[name] for name in COLUMNS)).where(
    jobs.c.id.in_(bindparam("ids", expanding=True)), QUEUED
)
_WAITING: Final = select(jobs.c.owner, func.count()).where(_SAME).group_by(jobs.c.owner)
_AHEAD: Final = select(
    _MINE.where(jobs.c.priority > _GIVEN["priority"]).scalar_subquery()
    + _MINE.where(jobs.c.priority == _GIVEN["priority"], _OLDER).scalar_subquery()
)
"""Of the owner's own, how many go before the given one: two ranges of one index."""


class SqlPositions(SqlStore):
    def __init__(self, engine: Engine, kept_seconds: float = KEPT_SECONDS) -> None:
        super().__init__(engine)
        self._kept_seconds = kept_seconds
        self._kept: dict[Needs, tuple[float, dict[str, Share]]] = {}

    def job_in_queue(self, owner: str, id: str) -> tuple[Job, int | None] | None:
        with self.reading() as connection:
            row = connection.execute(NAMED, {"owner": owner, "id": id}).one_or_none()
            if row is None:
                return None
            job = from_row(Job, row)
            return job, self._position(connection, row) if job.state == rules.QUEUED else None

    def queue_position(self, id: str) -> int | None:
        return self.queue_positions([id]).get(id)

    def queue_positions(self, ids: Collection[str]) -> dict[str, int]:
        if not ids:
            return {}
        positions = {}
        with self.reading() as connection:
            alike = defaultdict[tuple[Any, ...], list[Any]](list)
            for row in connection.execute(_QUEUED, {"ids": [*ids]}):
                alike[row.needs, row.owner, row.priority].append(row)
            for (needs, owner, _), rows in alike.items():
                of_owners = self._shares(connection, needs, owner)
                for id, ahead in _each_ahead(connection, rows):
                    positions[id] = position(owner, ahead, of_owners)
        return positions

    def _position(self, connection: Connection, row: Any) -> int:
        return position(row.owner, _ahead(connection, row), self._shares(connection, row.needs, row.owner))

    def _shares(self, connection: Connection, needs: Needs, owner: str) -> dict[str, Share]:
        """Of all for whom something of these needs waits, and of this owner."""
        until, known = self._kept.get(needs, (0.0, {}))
        if owner in known and time.monotonic() < until:
            return known
        waiting: dict[str, int] = dict(connection.execute(_WAITING, {"needs": needs}).tuples().all())
        found = shares(connection, "work", {owner: 0, **waiting})
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[needs] = time.monotonic() + self._kept_seconds, found
        return found


def _ahead(connection: Connection, row: Any) -> int:
    """How many jobs of the owner's go before this one."""
    return int(connection.scalars(_AHEAD, {name: row._mapping[name] for name in COLUMNS}).one())


def _each_ahead(connection: Connection, rows: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """How many jobs of the owner's go before each of these, which are of one owner, need and priority."""
    ordered = sorted(rows, key=_place)
    first, last = ordered[0], ordered[-1]
    before = _ahead(connection, first)
    if len(rows) == 1:
        yield first.id, before
        return
    place = tuple_(jobs.c.created_at, jobs.c.id)
    between = select(jobs.c.id).where(
        QUEUED, jobs.c.needs == first.needs, jobs.c.owner == first.owner, jobs.c.priority == first.priority
    )
    between = between.where(place >= tuple_(*_place(first)), place <= tuple_(*_place(last)))
    there = connection.scalars(between.order_by(jobs.c.created_at, jobs.c.id))
    places = {id: before + index for index, id in enumerate(there)}
    yield from ((row.id, places[row.id]) for row in rows if row.id in places)


def _place(row: Any) -> tuple[float, str]:
    return row.created_at, row.id
