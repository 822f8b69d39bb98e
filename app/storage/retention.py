"""What goes: records by their age, then the bytes that no record names any more.

Jobs go before uploads, which are kept for as long as a job names them: so what a pinned job needs is kept as well. What
is pinned does not go, nor what was sent again lately. Any number of processes may do this at once.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.retention import STATES, Retention
from app.storage.ports import Blobs, Records
from app.storage.records import Expired, Expiry

log = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Records of one kind and state that one transaction removes."""


@dataclass(frozen=True)
class Collected:
    """Records that went, and bytes of blobs by their SHA-256; or those that would go."""

    records: list[Expired]
    blobs: dict[str, int]


def expire_once(records: Records, retention: Retention, now: float) -> list[Expired]:
    """Remove what is too old, at most `AT_ONCE` of each kind and state."""
    removed = [old for expiry in _expiries(retention, now) for old in records.expire(expiry, AT_ONCE)]
    for old in removed:
        log.info("removed %s, %s for %.1f days", old.id, old.state, (now - old.since) / 86400)
    return removed


def collect(
    records: Records, blobs: Blobs, retention: Retention, *, now: float, grace_seconds: float
) -> Collected:
    """Remove all that is too old, and the bytes that nothing names for `grace_seconds`."""
    removed = list[Expired]()
    while more := expire_once(records, retention, now):
        removed += more
    sizes = dict(_unnamed(blobs, records.live_blobs(), now - grace_seconds))
    swept = blobs.sweep(records.live_blobs(), now - grace_seconds)
    return Collected(removed, {sha256: sizes.get(sha256, 0) for sha256 in swept})


def would_collect(
    records: Records, blobs: Blobs, retention: Retention, *, now: float, grace_seconds: float
) -> Collected:
    """What `collect` would remove now. Changes nothing."""
    going: dict[str, Expired] = {}
    for expiry in _expiries(retention, now):
        going |= {old.id: old for old in records.expired(expiry) if old.used_by <= going.keys()}
    live = records.live_blobs(without=going.keys())
    return Collected([*going.values()], dict(_unnamed(blobs, live, now - grace_seconds)))


def _unnamed(blobs: Blobs, live: set[str], older_than: float) -> Iterator[tuple[str, int]]:
    for sha256 in blobs.sweep(live, older_than, remove=False):
        yield sha256, blobs.size(sha256) or 0


def _expiries(retention: Retention, now: float) -> list[Expiry]:
    """Jobs first: `STATES` begins with them."""
    return [
        Expiry(kind=kind, state=state, before=now - retention[kind, state])
        for kind, states in STATES.items()
        for state in states
        if (kind, state) in retention
    ]
