"""Whose turn it is, in SQL: `fairness` on rows."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Table,
    and_,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    text,
    union_all,
    update,
)

from app.storage.fairness import Share
from app.storage.records import Family, Taker
from app.storage.sql_conditions import BY_FAMILY, leased, takeable, target, waiting
from app.storage.tables import jobs, studies, trials, turns
from winnow.contract.capability import INSPECT

Needs = tuple[str, ...]

NOTHING: Final = cast(null(), BigInteger)

_LOCKS: Final[dict[Family, int]] = {"inspect": 0x77696E6E6F78, "work": 0x77696E6E6F79}
"""Of PostgreSQL, behind the one of migrations."""


def take_turns(connection: Connection, family: Family) -> None:
    """Nobody else chooses before this transaction ends: two that did at once would both count what runs before either
    took something. SQLite has one writer in any case."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCKS[family]})


def what_waits(connection: Connection, family: Family) -> dict[Needs, dict[str, int]]:
    """How much of each need waits for each owner."""
    counted: defaultdict[Needs, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for t in BY_FAMILY[family]:
        by = [t.c.needs, t.c.owner] if "needs" in t.c else [t.c.owner]
        for *needs, owner, count in connection.execute(
            select(*by, func.count()).where(waiting(t)).group_by(*by)
        ):
            counted[needs[0] if needs else (INSPECT,)][owner] += count
    return {need: dict(of_owners) for need, of_owners in counted.items()}


def shares(connection: Connection, family: Family, waiting: Mapping[str, int]) -> dict[str, Share]:
    """Of the owners for whom something is `waiting`."""
    running, turn = Counter[str](), dict[str, int]()
    for owner, number in connection.execute(_running_and_turns(family)):
        if number is None:
            running[owner] += 1
        else:
            turn[owner] = number
    return {owner: Share(running[owner], count, turn.get(owner, 0)) for owner, count in waiting.items()}


@cache
def _running_and_turns(family: Family) -> CompoundSelect[str, int | None]:
    """An owner for each item that runs, and with a number that of the owner's last turn. Counted elsewhere: to group
    them, SQLite would read all rows by their owner."""
    held = [
        select(t.c.owner, NOTHING.label("turn")).where(leased(t))
        for t in BY_FAMILY[family]
        if t is not studies
    ]
    return union_all(*held, select(turns.c.owner, turns.c.number).where(turns.c.family == family))


def best_of(
    connection: Connection, family: Family, owner: str, able: Collection[Needs], taker: Taker, now: float
) -> str | None:
    """The id of what comes first of an owner's that the taker is able to do (`rules.order`)."""
    first = [
        (t is not studies, *key)
        for t in BY_FAMILY[family]
        for key in _first(connection, t, _for(t, owner, able, taker, now))
    ]
    return min(first)[-1] if first else None


def _for(t: Table, owner: str, able: Collection[Needs], taker: Taker, now: float) -> ColumnElement[bool]:
    wanted = [waiting(t), takeable(t, now), t.c.owner == owner]
    if "needs" in t.c:
        wanted.append(t.c.needs.in_(able))
    if t in (jobs, trials) and taker.elsewhere:
        wanted.append(target(t).not_in(taker.elsewhere))
    return and_(*wanted)


def _first(connection: Connection, t: Table, wanted: ColumnElement[bool]) -> Iterator[tuple[int, float, str]]:
    """Its key by `rules.order`, if there is one. The highest priority is looked up first: then an index has the rest in
    order."""
    priority: ColumnElement[int] = literal(0)
    if "priority" in t.c:
        priority = t.c.priority
        wanted &= priority == select(func.max(priority)).where(wanted).correlate(None).scalar_subquery()
    query = select(priority, t.c.created_at, t.c.id).where(wanted)
    for highest, created_at, id in connection.execute(query.order_by(t.c.created_at, t.c.id).limit(1)):
        yield -highest, created_at, id


def had_turn(connection: Connection, family: Family, owner: str) -> None:
    next_one = select(func.coalesce(func.max(turns.c.number), 0) + 1).correlate(None).scalar_subquery()
    mine = (turns.c.owner == owner) & (turns.c.family == family)
    if connection.execute(update(turns).where(mine).values(number=next_one)).rowcount == 0:
        connection.execute(insert(turns).values(owner=owner, family=family, number=next_one))
