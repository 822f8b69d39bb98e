"""What the stores in memory share: the records, behind one lock, and a change of state with its event."""

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from threading import RLock
from typing import TypeVar

from app.storage import deliveries, rules
from app.storage.messages import state_event
from app.storage.records import (
    QUEUES,
    Delivery,
    Event,
    IdempotencyKey,
    Item,
    Job,
    Page,
    Placed,
    Queue,
    Study,
    Transfer,
    Trial,
    Upload,
    Webhook,
    Worker,
)

Some = TypeVar("Some", bound=Item)
AnyPlaced = TypeVar("AnyPlaced", bound=Placed)


class MemoryStore:
    """The methods beginning with `_` are called while the lock is held."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._items: dict[str, Item] = {}
        self._published: dict[str, float] = {}
        self._looked: dict[Queue, float] = dict.fromkeys(QUEUES, 0.0)
        self._keys: dict[tuple[str, str], tuple[IdempotencyKey, str]] = {}
        self._events: list[Event] = []
        self._workers: dict[str, Worker] = {}
        self._webhooks: dict[str, Webhook] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._transfers: dict[str, Transfer] = {}
        self._last_event = 0

    def _get(self, kind: type[Some], id: str) -> Some | None:
        item = self._items.get(id)
        return item if isinstance(item, kind) else None

    def _all(self, kind: type[Some]) -> list[Some]:
        return [item for item in self._items.values() if isinstance(item, kind)]

    def _held(self, id: str, attempt: int) -> Item | None:
        item = self._items.get(id)
        return item if rules.held(item, attempt) else None

    def _put(self, item: Some, published: float | None = None) -> Some:
        kept = _as_json(item)
        self._items[kept.id] = kept
        if published is not None:
            self._published[item.id] = published
        return deepcopy(kept)

    def _change(self, item: Some, changes: rules.Changes, now: float) -> Some:
        """As of a row in SQL: `published_at` may be among the changes."""
        fields = {name: value for name, value in changes.items() if name != "published_at"}
        changed = self._put(replace(item, **fields), changes.get("published_at"))
        if isinstance(changed, Job) and "state" in changes:
            self._log(state_event(changed, now))
        if isinstance(changed, Job | Upload) and "state" in changes:
            self._tell_webhooks(changed, now)
        return changed

    def _tell_webhooks(self, item: Job | Upload, now: float) -> None:
        event = deliveries.event_of(item)
        for webhook in self._webhooks.values():
            if event is not None and webhook.owner == item.owner and event in webhook.events:
                new = deliveries.delivery_to(webhook, item, event, now)
                self._deliveries[new.id] = new

    def _remove(self, items: Iterable[Item]) -> None:
        for item in items:
            del self._items[item.id], self._published[item.id]

    def _log(self, event: Event) -> None:
        self._last_event += 1
        self._events.append(replace(event, id=self._last_event, values=json.loads(json.dumps(event.values))))


class MemoryRows:
    """`app.storage.searches.Rows` in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def job(self, id: str) -> Job:
        job = self._store._get(Job, id)
        assert job is not None
        return job

    def study(self, job: str) -> Study:
        return next(study for study in self._store._all(Study) if study.job == job)

    def trials(self, job: str) -> list[Trial]:
        mine = (trial for trial in self._store._all(Trial) if trial.job == job)
        return sorted(mine, key=lambda trial: trial.number)

    def add(self, item: Study | Trial) -> None:
        self._store._put(item, published=item.created_at)

    def change(self, item: Some, changes: rules.Changes, now: float) -> Some:
        return self._store._change(item, changes, now)

    def log(self, event: Event) -> None:
        self._store._log(event)


def _as_json(item: Some) -> Some:
    """The nested values as a database would give them back: copies, of what JSON has."""
    nested = {name: getattr(item, name) for name in rules.JSON_FIELDS if hasattr(item, name)}
    return replace(item, **json.loads(json.dumps(nested)))


def paged(items: Iterable[AnyPlaced], page: Page) -> list[AnyPlaced]:
    newest = sorted(items, key=lambda item: (item.created_at, item.id), reverse=True)
    unseen = [item for item in newest if page.after is None or (item.created_at, item.id) < page.after]
    return deepcopy(unseen[: page.limit])
