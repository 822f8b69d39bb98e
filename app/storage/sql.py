"""Records in a SQL database: SQLite by default, or PostgreSQL."""

from sqlalchemy import CompoundSelect, Connection, delete, insert, select, text, union, update
from sqlalchemy.exc import OperationalError

from app.storage import rules
from app.storage.records import Worker
from app.storage.sql_durations import SqlDurations
from app.storage.sql_inquiries import SqlInquiries
from app.storage.sql_jobs import SqlJobs
from app.storage.sql_leases import SqlLeases
from app.storage.sql_studies import SqlStudies
from app.storage.sql_uploads import SqlUploads
from app.storage.tables import inquiries, jobs, queues, trials, uploads, workers


class SqlRecords(SqlUploads, SqlInquiries, SqlJobs, SqlStudies, SqlLeases, SqlDurations):
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
        with self.writing() as connection:
            connection.execute(delete(workers).where(workers.c.last_seen < forget_before))
            known = update(workers).where(workers.c.id == worker.id).values(values)
            if connection.execute(known).rowcount == 0:
                connection.execute(insert(workers).values(values))

    def workers(self, seen_since: float) -> list[Worker]:
        lately = (
            select(workers)
            .where(workers.c.last_seen >= seen_since)
            .order_by(workers.c.started_at, workers.c.id)
        )
        with self.reading() as connection:
            return [
                Worker(**{**row._mapping, "queues": tuple(row.queues)}) for row in connection.execute(lately)
            ]

    def live_blobs(self) -> set[str]:
        with self.reading() as connection:
            return set(connection.scalars(named_blobs()))


def named_blobs() -> CompoundSelect[tuple[str]]:
    """The SHA-256 of every blob that a record names."""
    made = [
        *(jobs.c[name] for name in rules.MADE),
        *(trials.c[name] for name in rules.TRIAL_MADE),
    ]
    columns = (uploads.c.sha256, uploads.c.converted, inquiries.c.answer_sha256, *made)
    return union(*(select(c).where(c.is_not(None)) for c in columns))


def _refuse_read_only(connection: Connection) -> None:
    if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
        raise OperationalError("SHOW transaction_read_only", None, Exception("the database takes no changes"))
