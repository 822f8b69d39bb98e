"""The port `Studies` in SQL."""

from collections.abc import Collection

from sqlalchemy import func, select, union

from app.storage import searches
from app.storage.records import Decision, Study, Trial
from app.storage.sql_base import SqlStore, from_row
from app.storage.sql_conditions import waiting
from app.storage.sql_rows import SqlRows, locked_item
from app.storage.tables import studies, trials


class SqlStudies(SqlStore):
    def study(self, job: str) -> Study | None:
        with self.reading() as connection:
            row = connection.execute(select(studies).where(studies.c.job == job)).one_or_none()
        return None if row is None else from_row(Study, row)

    def trial(self, job: str, number: int) -> Trial | None:
        query = select(trials).where(trials.c.job == job, trials.c.number == number)
        with self.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else from_row(Trial, row)

    def trial_rows(self, job: str) -> list[Trial]:
        query = select(trials).where(trials.c.job == job).order_by(trials.c.number)
        with self.reading() as connection:
            return [from_row(Trial, row) for row in connection.execute(query)]

    def trial_counts(self, jobs: Collection[str]) -> dict[str, dict[str, int]]:
        if not jobs:
            return {}
        mine = trials.c.job.in_(jobs) & (trials.c.role == "trial")
        query = select(trials.c.job, trials.c.state, func.count()).where(mine)
        counts: dict[str, dict[str, int]] = {}
        with self.reading() as connection:
            for job, state, count in connection.execute(query.group_by(trials.c.job, trials.c.state)):
                counts.setdefault(job, {})[state] = count
        return counts

    def waiting_searches(self, jobs: Collection[str]) -> frozenset[str]:
        if not jobs:
            return frozenset()
        waits = [select(t.c.job).where(t.c.job.in_(jobs), waiting(t)) for t in (studies, trials)]
        with self.reading() as connection:
            return frozenset(connection.execute(union(*waits)).scalars())

    def settle(
        self, id: str, attempt: int, now: float, news: int, decision: Decision, more_attempts: int = 3
    ) -> bool:
        with self.writing() as connection:
            study = locked_item(connection, id, attempt)
            return isinstance(study, Study) and searches.settle(
                SqlRows(connection), study, now, news, decision, more_attempts
            )
