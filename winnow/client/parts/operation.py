"""What the service works with and whom it tells: workers and webhooks."""

from collections.abc import Iterator, Sequence

from winnow.client.parts.part import Part, path_of
from winnow.contract.webhook import Delivery, EventType, NewWebhook, Webhook
from winnow.contract.worker import Worker, Workers


class Operation(Part):
    """For who looks after a service."""

    def workers(self) -> list[Worker]:
        """Those that were seen in the last ten minutes."""
        return self._transport.parsed(Workers, self._transport.get("/v1/workers")).items

    def drain(self, id: str) -> Worker:
        """Have a worker take nothing new."""
        return self._transport.parsed(
            Worker, self._transport.request("POST", path_of("workers", id, "drain"))
        )

    def undrain(self, id: str) -> Worker:
        """Have it take work again."""
        return self._transport.parsed(
            Worker, self._transport.request("POST", path_of("workers", id, "undrain"))
        )

    def create_webhook(self, url: str, events: Sequence[EventType]) -> NewWebhook:
        """Have these events told to the address. The secret that signs them is in this answer only."""
        body = {"url": url, "events": [*events]}
        return self._transport.parsed(
            NewWebhook, self._transport.request("POST", "/v1/webhooks", json=body, again=False)
        )

    def webhook(self, id: str) -> Webhook:
        return self._transport.parsed(Webhook, self._transport.get(path_of("webhooks", id)))

    def webhooks(self) -> Iterator[Webhook]:
        return self._transport.page(Webhook, "/v1/webhooks", {})

    def delete_webhook(self, id: str) -> None:
        self._transport.request("DELETE", path_of("webhooks", id), again=False)

    def deliveries(self, webhook: str) -> Iterator[Delivery]:
        """What was told, newest first, and what became of it."""
        return self._transport.page(Delivery, path_of("webhooks", webhook, "deliveries"), {})

    def replay(self, webhook: str, delivery: str) -> Delivery:
        """Have it sent again at once, with the same id and body."""
        path = path_of("webhooks", webhook, "deliveries", delivery, "replay")
        return self._transport.parsed(Delivery, self._transport.request("POST", path))
