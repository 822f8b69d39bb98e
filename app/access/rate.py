"""How many requests an owner may send: the generic cell rate algorithm, in this process's memory.

    T    = 60 / n seconds, for n requests a minute
    full = when the owner could again send a minute's worth at once
    go  ⟺  max(full, now) + T − now ≤ 60        then full = max(full, now) + T

So in any t seconds at most n + t/T go. Each process counts for itself: with k of them behind one address it is k times
as many. A count that they share would be a write to the database for every request.
"""

from typing import Final

MINUTE: Final = 60.0
MOST_OWNERS: Final = 10_000
"""So many are remembered before those are forgotten who have been quiet for a minute."""


class RateLimiter:
    """Use from one thread. Times are of one clock that never goes back."""

    def __init__(self, per_minute: int) -> None:
        self._seconds = MINUTE / per_minute
        self._full: dict[str, float] = {}

    def wait_seconds(self, owner: str, now: float) -> float:
        """0 for a request that may go, which is then counted; else how long it would have to wait."""
        full = max(self._full.get(owner, now), now) + self._seconds
        wait = full - now - MINUTE
        if wait > MINUTE * 1e-9:  # n times 60/n may come out as a little more than 60
            return wait
        if len(self._full) >= MOST_OWNERS and owner not in self._full:
            self._full = {name: until for name, until in self._full.items() if until > now}
        self._full[owner] = full
        return 0.0
