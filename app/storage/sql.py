"""Records in a SQL database: SQLite by default, or PostgreSQL."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Row,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    union,
    update,
)
from sqlalchemy.exc import OperationalError

from app.storage import rules
from app.storage.records import Worker
from app.storage.sql_checkpoints import SqlCheckpoints, live_checkpoints
from app.storage.sql_durations import SqlDurations
from app.storage.sql_inquiries import SqlInquiries
from app.storage.sql_jobs import SqlJobs
from app.storage.sql_keys import SqlKeys
from app.storage.sql_leases import SqlLeases
from app.storage.sql_retention import SqlRetention
from app.storage.sql_studies import SqlStudies
from app.storage.sql_tally import SqlTallies
from app.storage.sql_transfers import SqlTransfers
from app.storage.sql_uploads import SqlUploads
from app.storage.sql_usage import SqlUsage
from app.storage.sql_webhooks import SqlWebhooks
from app.storage.tables import inquiries, jobs, queues, trials, uploads, workers

_SEEN: Final = (
    select(workers)
    .where(workers.c.last_seen >= bindparam("since"))
    .order_by(workers.c.started_at, workers.c.id)
)


class SqlRecords(
    SqlUploads,
    SqlInquiries,
    SqlJobs,
    SqlStudies,
    SqlLeases,
    SqlDurations,
    SqlKeys,
    SqlUsage,
    SqlTallies,
    SqlRetention,
    SqlWebhooks,
    SqlTransfers,
    SqlCheckpoints,
):
    """`app.storage.ports.Records` on an engine of `open_engine`, its database migrated. Thread-safe."""

    def ping(self) -> None:
        """Begin to write, as every request that changes something has to, and leave everything as it is."""
        on_postgresql = self._pings.dialect.name == "postgresql"
        with self._pings.connect() as connection:
            try:
                with connection.begin() as transaction:
                    if on_postgresql:
                        _refuse_read_only(connection)
                    connection.execute(select(queues.c.name).limit(1))
                    transaction.rollback()
            finally:
                if not on_postgresql:
                    connection.invalidate()  # it waits less long for a lock than the others

    def worker_seen(self, worker: Worker, forget_before: float) -> None:
        values = vars(worker)
        told = {name: value for name, value in values.items() if name != "draining"}
        with self.writing() as connection:
            connection.execute(delete(workers).where(workers.c.last_seen < forget_before))
            known = update(workers).where(workers.c.id == worker.id).values(told)
            if connection.execute(known).rowcount == 0:
                connection.execute(insert(workers).values(values))

    def worker(self, id: str) -> Worker | None:
        with self.reading() as connection:
            row = connection.execute(select(workers).where(workers.c.id == id)).one_or_none()
        return None if row is None else _worker(row)

    def drain(self, id: str, draining: bool = True) -> Worker | None:
        told = update(workers).where(workers.c.id == id).values(draining=draining).returning(workers)
        with self.writing() as connection:
            row = connection.execute(told).one_or_none()
        return None if row is None else _worker(row)

    def workers(self, seen_since: float) -> list[Worker]:
        with self.reading() as connection:
            return [_worker(row) for row in connection.execute(_SEEN, {"since": seen_since})]

    def live_blobs(self, without: Collection[str] = frozenset()) -> set[str]:
        """Ids are left out here and not in the query: there may be more of them than a query can take."""
        with self.reading() as connection:
            rows = connection.execute(named_blobs())
            return {name for name, *holders in rows.all() if not any(id in without for id in holders)}


def named_blobs() -> CompoundSelect[Any]:
    """The SHA-256 of every blob that a record names, each with the ids of what names it."""
    named = [
        *((uploads.c[name], uploads.c.id, uploads.c.id) for name in ("sha256", "converted")),
        (
            inquiries.c.answer_sha256,
            *(func.coalesce(inquiries.c.job, inquiries.c[name]) for name in ("model", "dataset")),
        ),
        *((jobs.c[name], jobs.c.id, jobs.c.id) for name in rules.MADE),
        *((trials.c[name], trials.c.job, trials.c.job) for name in rules.TRIAL_MADE),
    ]
    return union(*(select(*of).where(of[0].is_not(None)) for of in named), live_checkpoints())


def _worker(row: Row[Any]) -> Worker:
    return Worker(**{**row._mapping, "queues": tuple(row.queues)})


def _refuse_read_only(connection: Connection) -> None:
    if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
        raise OperationalError("SHOW transaction_read_only", None, Exception("the database takes no changes"))
