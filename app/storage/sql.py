"""Records in a SQL database: SQLite by default, or PostgreSQL."""

from sqlalchemy import select, union

from app.storage import rules
from app.storage.sql_jobs import SqlJobs
from app.storage.sql_leases import SqlLeases
from app.storage.sql_uploads import SqlUploads
from app.storage.tables import jobs, uploads


class SqlRecords(SqlUploads, SqlJobs, SqlLeases):
    """`app.storage.ports.Records` on an engine of `open_engine`, its database migrated. Thread-safe."""

    def ping(self) -> None:
        with self.reading() as connection:
            connection.execute(select(1))

    def live_blobs(self) -> set[str]:
        columns = (uploads.c.sha256, uploads.c.converted, *(jobs.c[name] for name in rules.MADE))
        with self.reading() as connection:
            names = connection.execute(union(*(select(c).where(c.is_not(None)) for c in columns)))
            return set(names.scalars())
