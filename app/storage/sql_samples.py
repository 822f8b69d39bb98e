"""Events that tell a number as a training goes on, evenly spread over all of it."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Select, func, select

from app.storage.records import Event
from app.storage.tables import events


def sampled_events(connection: Connection, job: str, names: Sequence[str], most: int) -> list[Event]:
    """Read what `Jobs.sampled_events` says. The database finds which rows it is, and only these are read."""
    logged = (events.c.job == job) & (events.c.type == "log")
    ids = {id for name in names for id in connection.scalars(_evenly(logged & _tells(name), most))}
    query = select(events).where(events.c.id.in_(ids)).order_by(events.c.id)
    return [Event(**row._mapping) for row in connection.execute(query)]


def _tells(name: str) -> ColumnElement[bool]:
    """Whatever it is: what a child reports is not trusted to be a number."""
    value: ColumnElement[str | None] = events.c["values"][name].as_string()
    return value.is_not(None)


def _evenly(which: ColumnElement[bool], most: int) -> Select[tuple[int]]:
    """Of n rows every ⌈n / most⌉-th, counted from the last one back, and the first."""
    at = func.row_number().over(order_by=events.c.id.desc()) - 1
    rows = select(events.c.id, at.label("at"), func.count().over().label("n")).where(which).subquery()
    every = (rows.c.n + most - 1) // most
    return select(rows.c.id).where((rows.c.at % every == 0) | (rows.c.at == rows.c.n - 1))
