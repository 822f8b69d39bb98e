"""The port `Webhooks` in memory."""

from copy import deepcopy
from dataclasses import replace

from app.storage import deliveries as law
from app.storage.memory_base import MemoryStore, paged
from app.storage.ports import TooMany
from app.storage.records import MAX_WEBHOOKS, Delivery, Page, Webhook


class MemoryWebhooks(MemoryStore):
    def add_webhook(self, webhook: Webhook) -> None:
        with self._lock:
            if sum(known.owner == webhook.owner for known in self._webhooks.values()) >= MAX_WEBHOOKS:
                raise TooMany(f"{webhook.owner} has {MAX_WEBHOOKS} webhooks")
            self._webhooks[webhook.id] = webhook

    def webhook(self, owner: str, id: str) -> Webhook | None:
        with self._lock:
            known = self._webhooks.get(id)
            return known if known and known.owner == owner else None

    def webhooks(self, owner: str, page: Page) -> list[Webhook]:
        with self._lock:
            return paged((one for one in self._webhooks.values() if one.owner == owner), page)

    def delete_webhook(self, owner: str, id: str) -> bool:
        with self._lock:
            if self.webhook(owner, id) is None:
                return False
            del self._webhooks[id]
            self._deliveries = {name: one for name, one in self._deliveries.items() if one.webhook != id}
            return True

    def deliveries(self, webhook: str, page: Page) -> list[Delivery]:
        with self._lock:
            return paged((one for one in self._deliveries.values() if one.webhook == webhook), page)

    def take_delivery(self, now: float, seconds: float) -> tuple[Webhook, Delivery] | None:
        with self._lock:
            for delivery in self._due(now):
                taken = self._set(delivery, law.taking(delivery, now, seconds))
                if taken.lease_until is not None:
                    return self._webhooks[taken.webhook], taken
            return None

    def settle_delivery(
        self, id: str, attempt: int, now: float, status: int | None, error: str | None, chance: float
    ) -> bool:
        with self._lock:
            delivery = self._deliveries.get(id)
            if delivery is None or delivery.attempt != attempt or delivery.lease_until is None:
                return False
            self._set(delivery, law.answered(delivery, now, status, error, chance))
            return True

    def replay_delivery(self, webhook: str, id: str, now: float) -> Delivery | None:
        with self._lock:
            delivery = self._deliveries.get(id)
            if delivery is None or delivery.webhook != webhook:
                return None
            return self._set(delivery, law.replaying(delivery, now))

    def forget_deliveries(self, before: float) -> int:
        with self._lock:
            old = [d.id for d in self._deliveries.values() if d.next_at is None and d.created_at < before]
            for id in old:
                del self._deliveries[id]
            return len(old)

    def _due(self, now: float) -> list[Delivery]:
        known = self._deliveries.values()
        busy = {one.webhook for one in known if one.lease_until is not None and one.lease_until > now}
        due = [one for one in known if law.is_due(one, now) and one.webhook not in busy]
        return sorted(due, key=lambda delivery: (delivery.next_at or 0.0, delivery.id))

    def _set(self, delivery: Delivery, changes: law.Changes) -> Delivery:
        self._deliveries[delivery.id] = replace(delivery, **changes)
        return deepcopy(self._deliveries[delivery.id])
