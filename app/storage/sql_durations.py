"""The port `Durations` in SQL."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from sqlalchemy import delete, func, insert, select

from app.storage.records import MAX_DURATIONS, Duration
from app.storage.sql_base import SqlStore
from app.storage.tables import durations

FIELDS: Final = [durations.c[field.name] for field in fields(Duration)]


class SqlDurations(SqlStore):
    def add_durations(self, durations_of_job: Sequence[Duration]) -> None:
        if not durations_of_job:
            return
        with self.writing() as connection:
            connection.execute(insert(durations), [vars(duration) for duration in durations_of_job])
            last = select(func.max(durations.c.id)).scalar_subquery()
            connection.execute(delete(durations).where(durations.c.id <= last - MAX_DURATIONS))

    def durations(self, kind: str, operators: str, limit: int) -> list[Duration]:
        alike = (durations.c.kind == kind) & (durations.c.operators == operators)
        query = select(*FIELDS).where(alike).order_by(durations.c.id.desc()).limit(limit)
        with self.reading() as connection:
            return [Duration(**row._mapping) for row in connection.execute(query)]
