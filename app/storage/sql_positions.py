"""Places in the queue, in SQL, at the cost of a poll.

    position = fairness.position(owner, ahead, shares)

What waits before a job of its owner's own (`ahead`) is a range of one index. How much waits and runs for each owner
(`shares`) is the same for all who ask: this process keeps it until it writes something itself, and for at most
`KEPT_SECONDS`, by which others' changes are told late.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, select, tuple_

from app.storage import rules
from app.storage.fairness import Share, position
from app.storage.sql_base import SqlStore
from app.storage.sql_turns import Needs, shares
from app.storage.tables import jobs

KEPT_SECONDS: Final = 0.5
QUEUED: Final = jobs.c.state == rules.QUEUED


class SqlPositions(SqlStore):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._kept: dict[Needs, tuple[int, float, dict[str, Share]]] = {}

    def queue_position(self, id: str) -> int | None:
        return self.queue_positions([id]).get(id)

    def queue_positions(self, ids: Collection[str]) -> dict[str, int]:
        if not ids:
            return {}
        mine = select(jobs.c.id, jobs.c.owner, jobs.c.needs, jobs.c.priority, jobs.c.created_at)
        positions = {}
        with self.reading() as connection:
            alike = defaultdict[tuple[Any, ...], list[Any]](list)
            for row in connection.execute(mine.where(jobs.c.id.in_(ids), QUEUED)):
                alike[row.needs, row.owner, row.priority].append(row)
            for (needs, owner, _), rows in alike.items():
                of_owners = self._shares(connection, needs)
                if owner in of_owners:  # else taken a moment ago
                    for id, ahead in _ahead(connection, rows):
                        positions[id] = position(owner, ahead, of_owners)
        return positions

    def _shares(self, connection: Connection, needs: Needs) -> dict[str, Share]:
        written, until, known = self._kept.get(needs, (-1, 0.0, {}))
        if written == self.written and time.monotonic() < until:
            return known
        written = self.written
        counts = (
            select(jobs.c.owner, func.count()).where(QUEUED, jobs.c.needs == needs).group_by(jobs.c.owner)
        )
        waiting: dict[str, int] = dict(connection.execute(counts).tuples().all())
        found = shares(connection, "work", waiting)
        self._kept[needs] = written, time.monotonic() + KEPT_SECONDS, found
        return found


def _ahead(connection: Connection, rows: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """How many jobs of the owner's go before each of these, which are of one owner, need and priority."""
    first, *_, last = sorted((row.created_at, row.id) for row in [*rows, rows[0]])
    place, same = tuple_(jobs.c.created_at, jobs.c.id), _same(rows[0])
    count = select(func.count()).select_from(jobs)
    higher = count.where(same, jobs.c.priority > rows[0].priority)
    earlier = count.where(same, jobs.c.priority == rows[0].priority, place < tuple_(*first))
    before = connection.scalar(select(higher.scalar_subquery() + earlier.scalar_subquery())) or 0
    if len(rows) == 1:
        yield rows[0].id, before
        return
    between = select(jobs.c.id).where(same, jobs.c.priority == rows[0].priority, place >= tuple_(*first))
    between = between.where(place <= tuple_(*last)).order_by(jobs.c.created_at, jobs.c.id)
    places = {id: before + index for index, id in enumerate(connection.scalars(between))}
    yield from ((row.id, places[row.id]) for row in rows if row.id in places)


def _same(row: Any) -> ColumnElement[bool]:
    return and_(QUEUED, jobs.c.needs == row.needs, jobs.c.owner == row.owner)
