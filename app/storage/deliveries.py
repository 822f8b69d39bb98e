"""What becomes of a delivery, as pure functions: the same in every store.

             ┌── no lease, or one that ran out: due at `next_at`
    waiting ─┼── held: somebody is sending it
       ▲     └── answered ──▶ delivered | waiting, later | failed, once attempts are spent
       └────────── replay ────────┴──────────────────────────┘

Each answers the fields to set. The attempt only grows, also over replays: that is what fences.
"""

from datetime import UTC, datetime
from typing import Any, Final

from app.storage.ids import new_id
from app.storage.records import Delivery, Job, Upload, Webhook
from winnow.contract.webhook import EVENT_TYPES, EventData, EventType, WebhookPayload

MAX_ATTEMPTS: Final = 10
FIRST_PAUSE_SECONDS: Final = 5.0
GROWTH: Final = 4.0
LONGEST_PAUSE_SECONDS: Final = 6 * 3600.0
"""10 attempts with pauses of 5 s, 20 s, 80 s, …, 6 h: a receiver may be away for about half a day."""

WAITING: Final = "waiting"
NOT_TOLD: Final = "The service ended while it sent this, each time."

Changes = dict[str, Any]


def event_of(item: Job | Upload) -> EventType | None:
    """What to tell of the state that `item` has just come to; None where nobody is told."""
    name = f"{'job' if isinstance(item, Job) else item.kind}.{item.state}"
    return next((event for event in EVENT_TYPES if event == name), None)


def delivery_to(webhook: Webhook, item: Job | Upload, event: EventType, now: float) -> Delivery:
    return Delivery(
        id=new_id("dlv"),
        webhook=webhook.id,
        event=event,
        payload=_payload(item, event, now).model_dump(mode="json"),
        state=WAITING,
        max_attempts=MAX_ATTEMPTS,
        created_at=now,
        next_at=now,
    )


def _payload(item: Job | Upload, event: EventType, now: float) -> WebhookPayload:
    if isinstance(item, Job):
        own: Changes = {"name": item.request.get("name"), "outcome": item.outcome, "tags": item.tags}
    else:
        own = {"name": item.name, "outcome": None, "tags": {}}
    data = EventData.model_validate({"id": item.id, "state": item.state, "problem": item.problem, **own})
    return WebhookPayload(type=event, timestamp=datetime.fromtimestamp(now, UTC), data=data)


def is_due(delivery: Delivery, now: float) -> bool:
    free = delivery.lease_until is None or delivery.lease_until <= now
    return delivery.state == WAITING and delivery.next_at is not None and delivery.next_at <= now and free


def taking(delivery: Delivery, now: float, seconds: float) -> Changes:
    """Of one that is due: the next attempt; or its end, where its last sender never said what became of it."""
    if delivery.attempt >= delivery.max_attempts:
        return _ended("failed", delivery.status, NOT_TOLD)
    return {"attempt": delivery.attempt + 1, "lease_until": now + seconds}


def answered(delivery: Delivery, now: float, status: int | None, error: str | None, chance: float) -> Changes:
    """`error` is None for one that arrived; `chance`, in [0, 1), spreads those that failed together."""
    if error is None:
        return _ended("delivered", status, None)
    if delivery.attempt >= delivery.max_attempts:
        return _ended("failed", status, error)
    tries = MAX_ATTEMPTS - (delivery.max_attempts - delivery.attempt)
    return {"lease_until": None, "next_at": now + pause(tries, chance), "status": status, "error": error}


def pause(tries: int, chance: float) -> float:
    """Seconds after so many failed tries: min(5 · 4ⁿ⁻¹, 6 h), of which a random half is left out."""
    longest: float = min(FIRST_PAUSE_SECONDS * GROWTH ** (tries - 1), LONGEST_PAUSE_SECONDS)
    return longest * (0.5 + chance / 2)


def replaying(delivery: Delivery, now: float) -> Changes:
    """To be sent again, at once, as often as the first time; by whoever sends it at this moment only if that fails."""
    return {"state": WAITING, "next_at": now, "max_attempts": delivery.attempt + MAX_ATTEMPTS}


def _ended(state: str, status: int | None, error: str | None) -> Changes:
    return {"state": state, "lease_until": None, "next_at": None, "status": status, "error": error}
