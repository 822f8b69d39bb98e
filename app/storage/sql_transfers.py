"""The port `Transfers` in SQL."""

from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from app.storage.ports import TooMany
from app.storage.records import MAX_TRANSFERS, Transfer
from app.storage.sql_base import SqlStore
from app.storage.tables import transfers


class SqlTransfers(SqlStore):
    def add_transfer(self, transfer: Transfer) -> None:
        unexpired = (transfers.c.owner == transfer.owner) & (transfers.c.expires_at > transfer.created_at)
        count = select(func.count()).select_from(transfers).where(unexpired, _unsettled())
        with self.writing() as connection:
            if connection.execute(count).scalar_one() >= MAX_TRANSFERS:
                raise TooMany(f"{transfer.owner} has {MAX_TRANSFERS} open uploads")
            connection.execute(insert(transfers).values(vars(transfer)))

    def transfer(self, owner: str, id: str, now: float) -> Transfer | None:
        query = select(transfers).where(_named(owner, id), transfers.c.expires_at > now)
        with self.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Transfer(**row._mapping)

    def extend_transfer(self, id: str, expires_at: float) -> bool:
        later = update(transfers).where(transfers.c.id == id).values(expires_at=expires_at)
        with self.writing() as connection:
            return connection.execute(later).rowcount == 1

    def settle_transfer(self, id: str, upload: str | None, problem: dict[str, Any] | None) -> None:
        settled = update(transfers).where(transfers.c.id == id, _unsettled())
        with self.writing() as connection:
            connection.execute(settled.values(upload=upload, problem=problem))

    def delete_transfer(self, owner: str, id: str) -> bool:
        with self.writing() as connection:
            return connection.execute(delete(transfers).where(_named(owner, id))).rowcount == 1

    def forget_transfers(self, now: float) -> int:
        with self.writing() as connection:
            return connection.execute(delete(transfers).where(transfers.c.expires_at <= now)).rowcount


def _named(owner: str, id: str) -> ColumnElement[bool]:
    return (transfers.c.id == id) & (transfers.c.owner == owner)


def _unsettled() -> ColumnElement[bool]:
    return transfers.c.upload.is_(None) & transfers.c.problem.is_(None)
