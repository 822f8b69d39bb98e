"""The ports `Audit` and `Usage` in SQL."""

from typing import Final, get_args

from sqlalchemy import func, insert, select

from app.storage.records import Audited, Page
from app.storage.sql_base import SqlStore, paged
from app.storage.tables import audit, jobs, trials, uploads
from winnow.contract.job import FINISHED, JobState

OPEN: Final = sorted({*get_args(JobState)} - FINISHED)


class SqlUsage(SqlStore):
    def add_audited(self, entry: Audited) -> None:
        with self.writing() as connection:
            connection.execute(insert(audit).values(vars(entry)))

    def audited(self, page: Page) -> list[Audited]:
        with self.reading() as connection:
            return [Audited(**row._mapping) for row in connection.execute(paged(select(audit), audit, page))]

    def stored_bytes(self, owner: str) -> int:
        searches = select(jobs.c.id).where(jobs.c.owner == owner, jobs.c.searches)
        sizes = (
            select(func.sum(uploads.c.size_bytes)).where(uploads.c.owner == owner),
            select(func.sum(jobs.c.artifact_bytes)).where(jobs.c.owner == owner),
            select(func.sum(jobs.c.curves_bytes)).where(jobs.c.owner == owner),
            select(func.sum(trials.c.artifact_bytes)).where(trials.c.job.in_(searches)),
        )
        with self.reading() as connection:
            return sum(int(connection.execute(size).scalar() or 0) for size in sizes)

    def open_jobs(self, owner: str) -> int:
        mine = (jobs.c.owner == owner) & jobs.c.state.in_(OPEN)
        with self.reading() as connection:
            return connection.execute(select(func.count()).select_from(jobs).where(mine)).scalar_one()
