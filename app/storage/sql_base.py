"""What the SQL stores share: transactions, rows to records and back, a change of state with its event."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, Table, insert, select, tuple_, update
from sqlalchemy.exc import DataError, IntegrityError

from app.storage import deliveries as deliveries_law
from app.storage import rules
from app.storage.engine import in_mode
from app.storage.kinds import kind_of
from app.storage.messages import state_event
from app.storage.records import Event, Inquiry, Item, Job, Leased, Page, Study, Trial, Upload, Webhook
from app.storage.tables import deliveries, events, inquiries, jobs, studies, trials, uploads, webhooks
from winnow.contract.errors import Refusal

log = logging.getLogger(__name__)

Result = TypeVar("Result")

Some = TypeVar("Some", bound=Item)
AnyLeased = TypeVar("AnyLeased", bound=Leased)

TABLES: Final[dict[type[Leased], Table]] = {
    Upload: uploads,
    Inquiry: inquiries,
    Job: jobs,
    Study: studies,
    Trial: trials,
}
FIELDS: Final = {kind: tuple(field.name for field in fields(kind)) for kind in TABLES}


class SqlStore:
    """`engine` as `open_engine` makes it, its database migrated."""

    def __init__(self, engine: Engine) -> None:
        self._reads = in_mode(engine, "read")
        self._writes = in_mode(engine, "write")
        self._pings = in_mode(engine, "ping")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with refusing_bad_text(), self._reads.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with refusing_bad_text(), self._writes.begin() as connection:
            yield connection


@contextmanager
def refusing_bad_text() -> Iterator[None]:
    """PostgreSQL keeps no NUL and nothing longer than its column, SQLite no half of a surrogate pair."""
    try:
        yield
    except (DataError, UnicodeEncodeError) as error:
        detail = (
            "A text contains a character that cannot be stored (NUL, or half of a surrogate pair), "
            "or is too long. Shorten it or leave that character out."
        )
        raise Refusal("invalid_request", detail) from error


def unless_raced(work: Callable[[], Result]) -> Result:
    """Once more when another transaction was first with the same unique key: now it can be seen."""
    try:
        return work()
    except IntegrityError as error:
        log.debug("raced, trying again: %s", error)
        return work()


def table_of(id: str) -> Table:
    return TABLES[kind_of(id)]


def from_row(kind: type[AnyLeased], row: Row[Any]) -> AnyLeased:
    mapping = row._mapping
    values = {name: mapping[name] for name in FIELDS[kind]}
    if kind is Job:
        values["uses"] = tuple(values["uses"])
    return kind(**values)


def item_from(id: str, row: Row[Any]) -> Item:
    return from_row(kind_of(id), row)


def held(id: str, attempt: int) -> ColumnElement[bool]:
    """`rules.held` as a condition."""
    t = table_of(id)
    return (t.c.id == id) & (t.c.attempt == attempt) & t.c.lease_until.is_not(None)


def paged(query: Select[Any], table: Table, page: Page) -> Select[Any]:
    key = tuple_(table.c.created_at, table.c.id)
    if page.after is not None:
        query = query.where(key < tuple_(*page.after))
    return query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(page.limit)


def locked(connection: Connection, condition: ColumnElement[bool], table: Table) -> Row[Any] | None:
    """The row, which nobody else can change before this transaction ends."""
    return connection.execute(select(table).where(condition).with_for_update()).one_or_none()


def change(connection: Connection, item: Some, changes: rules.Changes, now: float) -> Some:
    """Set fields of a locked row; a job's new state is an event, and webhooks are told of some states."""
    t = TABLES[type(item)]
    row = connection.execute(update(t).where(t.c.id == item.id).values(changes).returning(t)).one()
    changed = from_row(type(item), row)
    if isinstance(changed, Job) and "state" in changes:
        add_events(connection, [state_event(changed, now)])
    if isinstance(changed, Job | Upload) and "state" in changes:
        _tell_webhooks(connection, changed, now)
    return changed


def _tell_webhooks(connection: Connection, item: Job | Upload, now: float) -> None:
    """Locks the webhooks until the transaction ends, so that none can be deleted behind its back."""
    event = deliveries_law.event_of(item)
    if event is None:
        return
    mine = select(webhooks).where(webhooks.c.owner == item.owner).order_by(webhooks.c.id)
    told = map(webhook_from, connection.execute(mine.with_for_update(read=True, key_share=True)))
    new = [deliveries_law.delivery_to(one, item, event, now) for one in told if event in one.events]
    if new:
        connection.execute(insert(deliveries), [vars(delivery) for delivery in new])


def webhook_from(row: Row[Any]) -> Webhook:
    return Webhook(**{**row._mapping, "events": tuple(row.events)})


def add_events(connection: Connection, new: Iterable[Event]) -> None:
    rows = [{name: value for name, value in vars(event).items() if name != "id"} for event in new]
    if rows:
        connection.execute(insert(events), rows)
