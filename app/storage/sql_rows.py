"""The rows of one search in SQL. Whoever changes several of them locks the study first, then the others; a job
before the questions for its page, as its deletion does."""

from typing import TypeVar

from sqlalchemy import Connection, insert, select

from app.storage import rules
from app.storage.ids import study_of
from app.storage.kinds import kind_of
from app.storage.records import Event, Inquiry, Item, Job, Study, Trial
from app.storage.sql_base import TABLES, add_events, change, from_row, held, item_from, locked, table_of
from app.storage.tables import inquiries, jobs, studies, trials

Some = TypeVar("Some", bound=Item)


class SqlRows:
    """`app.storage.searches.Rows` in this transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def job(self, id: str) -> Job:
        return from_row(Job, self._connection.execute(select(jobs).where(jobs.c.id == id)).one())

    def study(self, job: str) -> Study:
        query = select(studies).where(studies.c.job == job)
        return from_row(Study, self._connection.execute(query).one())

    def trials(self, job: str) -> list[Trial]:
        query = select(trials).where(trials.c.job == job).order_by(trials.c.number).with_for_update()
        return [from_row(Trial, row) for row in self._connection.execute(query)]

    def add(self, item: Study | Trial) -> None:
        values = {**vars(item), "published_at": item.created_at}
        self._connection.execute(insert(TABLES[type(item)]).values(values))

    def change(self, item: Some, changes: rules.Changes, now: float) -> Some:
        return change(self._connection, item, changes, now)

    def log(self, event: Event) -> None:
        add_events(self._connection, [event])


def lock_search(connection: Connection, job: str) -> None:
    """Nobody else changes several rows of this search before the transaction ends. Harmless for other jobs."""
    locked(connection, studies.c.id == study_of(job), studies)


def locked_item(connection: Connection, id: str, attempt: int) -> Item | None:
    """What this attempt holds, locked, for a trial together with its search, for a page with its job; None when it is
    fenced."""
    if kind_of(id) is Trial:
        locked(connection, studies.c.job.in_(select(trials.c.job).where(trials.c.id == id)), studies)
    if kind_of(id) is Inquiry:
        locked(connection, jobs.c.id.in_(select(inquiries.c.job).where(inquiries.c.id == id)), jobs)
    row = locked(connection, held(id, attempt), table_of(id))
    return None if row is None else item_from(id, row)
