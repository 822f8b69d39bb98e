"""The port `Leases` in memory."""

from collections import Counter
from collections.abc import Collection, Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from app.storage import rules, searches
from app.storage.fairness import in_order
from app.storage.kinds import USUAL, by_age, families_of, family_of, needs_of, queue_of, wake_of
from app.storage.memory_base import MemoryRows, MemoryStore
from app.storage.records import Event, Item, Job, Leased, Queue, Reaped, Study, Taker, Trial, Wake


class MemoryLeases(MemoryStore):
    def claim(
        self,
        id: str,
        now: float,
        seconds: float,
        worker: str | None = None,
        elsewhere: Collection[str] = frozenset(),
        holder: str | None = None,
    ) -> Item | None:
        taker = Taker(id=holder or "", host=worker, capabilities=frozenset(), elsewhere=frozenset(elsewhere))
        with self._lock:
            item = self._items.get(id)
            if item is None or not self._takeable(item, taker, now):
                return None
            return self._claim(item, taker, now, seconds)

    def claim_next(self, taker: Taker, now: float, seconds: float) -> Item | None:
        with self._lock:
            drained = self._workers.get(taker.id)
            if drained is not None and drained.draining:
                return None
            for family in families_of(taker.capabilities):
                able = [
                    item
                    for item in self._of_family(family)
                    if rules.waiting(item) and {*needs_of(item)} <= taker.capabilities
                ]
                for owner in in_order(self._shares(family, able)):
                    mine = [i for i in able if i.owner == owner and self._takeable(i, taker, now)]
                    if mine:
                        self._turns[family, owner] = max(self._turns.values(), default=0) + 1
                        return self._claim(min(mine, key=rules.order), taker, now, seconds)
            return None

    def _takeable(self, item: Item, taker: Taker, now: float) -> bool:
        return rules.takeable(item, now) and self._target(item) not in taker.elsewhere

    def _claim(self, item: Item, taker: Taker, now: float, seconds: float) -> Item:
        changes = rules.claiming(item, now, seconds, taker.host, taker.id or None)
        claimed = self._change(item, changes, now)
        if isinstance(claimed, Study):
            searches.begin_turn(MemoryRows(self), claimed, now)
        return claimed

    def _target(self, item: Item) -> str | None:
        """Of a trial its job's."""
        return rules.target_of(self._items[item.job] if isinstance(item, Trial) else item)

    def renew(self, id: str, attempt: int, now: float, seconds: float) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            if item is None:
                return False
            self._put(replace(item, lease_until=now + seconds))
            return True

    def cancel_requested(self, id: str, attempt: int) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            return item is None or item.cancel_requested

    def report(
        self,
        id: str,
        attempt: int,
        *,
        step: dict[str, Any] | None,
        progress: float,
        seconds_left: int | None,
        events: Iterable[Event] = (),
    ) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            if isinstance(item, Job):
                self._put(replace(item, step=step, progress=progress, seconds_left=seconds_left))
                for event in events:
                    self._log(replace(event, job=id, attempt=attempt))
            if isinstance(item, Trial):
                job = MemoryRows(self).job(item.job)
                for event in events:
                    self._log(searches.event_of(event, item, job))
            return item is not None

    def finish(
        self, id: str, attempt: int, now: float, changes: dict[str, Any], job: dict[str, Any] | None = None
    ) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            return item is not None and searches.finish(MemoryRows(self), item, now, changes, job)

    def release(self, id: str, attempt: int, now: float, blame: bool = True) -> bool:
        with self._lock:
            item = self._held(id, attempt)
            if item is not None:
                searches.release(MemoryRows(self), item, now, blame)
            return item is not None

    def reap(self, now: float, look_seconds: float) -> Reaped:
        with self._lock:
            released = self._release_expired(now)
            self._released.update(family_of(queue_of(item)) for item in released)
            mine = [family for family, at in self._looked.items() if abs(now - at) >= look_seconds]
            self._looked |= dict.fromkeys(mine, now)
            counts = Counter[Queue](
                queue_of(item) for family in mine for item in self._of_family(family) if rules.waiting(item)
            )
            usual = {USUAL[family]: 0 for family in mine}
            return Reaped(released=_wakes(released), waiting={**usual, **counts})

    def republish(self, queue: Queue, count: int, now: float, published_before: float) -> list[Wake]:
        with self._lock:
            stale = [i for i in self._waiting(queue) if self._published[i.id] <= published_before]
            stale.sort(key=lambda item: (self._published[item.id], item.created_at, item.id))
            self._published |= dict.fromkeys((item.id for item in stale[:count]), now)
            self._republished[family_of(queue)] += len(stale[:count])
            return _wakes(stale[:count])

    def held(self) -> list[Leased]:
        with self._lock:
            leased = [item for item in self._items.values() if item.lease_until is not None]
            return deepcopy(sorted(leased, key=lambda item: item.id))

    def _waiting(self, queue: Queue) -> list[Item]:
        return [item for item in self._items.values() if rules.waiting(item) and queue_of(item) == queue]

    def _release_expired(self, now: float) -> list[Item]:
        """What waits because of it. A study goes before its trials: when it is given up they are stopped."""
        gone = [i for i in self._items.values() if i.lease_until is not None and i.lease_until <= now]
        rows, waits = MemoryRows(self), dict[str, Item]()
        for id in [item.id for item in sorted(gone, key=lambda item: isinstance(item, Trial))]:
            waits |= {item.id: item for item in searches.release(rows, self._items[id], now)}
        return [*waits.values()]


def _wakes(items: Iterable[Item]) -> list[Wake]:
    return [wake_of(item) for item in by_age(items)]
