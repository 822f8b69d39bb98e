"""The port `Webhooks` in SQL."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, update

from app.storage import deliveries as law
from app.storage.ports import TooMany
from app.storage.records import MAX_WEBHOOKS, Delivery, Page, Webhook
from app.storage.sql_base import SqlStore, paged, webhook_from
from app.storage.tables import deliveries, webhooks


class SqlWebhooks(SqlStore):
    def add_webhook(self, webhook: Webhook) -> None:
        mine = select(func.count()).select_from(webhooks).where(webhooks.c.owner == webhook.owner)
        with self.writing() as connection:
            if connection.execute(mine).scalar_one() >= MAX_WEBHOOKS:
                raise TooMany(f"{webhook.owner} has {MAX_WEBHOOKS} webhooks")
            connection.execute(insert(webhooks).values(vars(webhook)))

    def webhook(self, owner: str, id: str) -> Webhook | None:
        with self.reading() as connection:
            row = connection.execute(select(webhooks).where(_named(owner, id))).one_or_none()
        return None if row is None else webhook_from(row)

    def webhooks(self, owner: str, page: Page) -> list[Webhook]:
        query = paged(select(webhooks).where(webhooks.c.owner == owner), webhooks, page)
        with self.reading() as connection:
            return [webhook_from(row) for row in connection.execute(query)]

    def delete_webhook(self, owner: str, id: str) -> bool:
        with self.writing() as connection:
            return connection.execute(delete(webhooks).where(_named(owner, id))).rowcount == 1

    def deliveries(self, webhook: str, page: Page) -> list[Delivery]:
        query = paged(select(deliveries).where(deliveries.c.webhook == webhook), deliveries, page)
        with self.reading() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def take_delivery(self, now: float, seconds: float) -> tuple[Webhook, Delivery] | None:
        """Asks without the lock of a writer first: mostly nothing is due."""
        with self.reading() as connection:
            if connection.execute(_due(now)).first() is None:
                return None
        with self.writing() as connection:
            while row := connection.execute(_due(now).with_for_update(skip_locked=True)).one_or_none():
                taken = _set(connection, _delivery(row), law.taking(_delivery(row), now, seconds))
                if taken.lease_until is not None:
                    to = connection.execute(select(webhooks).where(webhooks.c.id == taken.webhook)).one()
                    return webhook_from(to), taken
            return None

    def settle_delivery(
        self, id: str, attempt: int, now: float, status: int | None, error: str | None, chance: float
    ) -> bool:
        t = deliveries
        held = (t.c.id == id) & (t.c.attempt == attempt) & t.c.lease_until.is_not(None)
        with self.writing() as connection:
            row = connection.execute(select(t).where(held).with_for_update()).one_or_none()
            if row is not None:
                delivery = _delivery(row)
                _set(connection, delivery, law.answered(delivery, now, status, error, chance))
            return row is not None

    def replay_delivery(self, webhook: str, id: str, now: float) -> Delivery | None:
        named = (deliveries.c.id == id) & (deliveries.c.webhook == webhook)
        with self.writing() as connection:
            row = connection.execute(select(deliveries).where(named).with_for_update()).one_or_none()
            if row is None:
                return None
            delivery = _delivery(row)
            return _set(connection, delivery, law.replaying(delivery, now))

    def forget_deliveries(self, before: float) -> int:
        old = deliveries.c.next_at.is_(None) & (deliveries.c.created_at < before)
        with self.writing() as connection:
            return connection.execute(delete(deliveries).where(old)).rowcount


def _named(owner: str, id: str) -> ColumnElement[bool]:
    return (webhooks.c.id == id) & (webhooks.c.owner == owner)


def _due(now: float) -> Select[Any]:
    """`deliveries.is_due` as a query for the one that has been so for longest."""
    t, other = deliveries, deliveries.alias()
    free = t.c.lease_until.is_(None) | (t.c.lease_until <= now)
    busy = select(other.c.webhook).where(other.c.lease_until > now)
    due = (t.c.state == law.WAITING) & (t.c.next_at <= now) & free & t.c.webhook.not_in(busy)
    return select(t).where(due).order_by(t.c.next_at, t.c.id).limit(1)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)


def _set(connection: Connection, delivery: Delivery, changes: law.Changes) -> Delivery:
    changed = update(deliveries).where(deliveries.c.id == delivery.id).values(changes).returning(deliveries)
    return _delivery(connection.execute(changed).one())
