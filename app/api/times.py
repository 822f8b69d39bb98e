"""Seconds since the epoch, as records keep them, and the times on the wire."""

import time
from datetime import UTC, datetime


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def maybe_at(seconds: float | None) -> datetime | None:
    return None if seconds is None else at(seconds)


def seconds(when: datetime | None) -> float | None:
    """A time without a zone is taken as UTC."""
    if when is None:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def now() -> float:
    """In whole microseconds, as times on the wire are: `seconds(at(now()))` is the same number again."""
    return round(time.time(), 6)
