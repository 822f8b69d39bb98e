"""Whose turn it is, as pure functions used by every store.

    between owners        for whom the least runs; of equals, who was served the longest ago
    among one owner's     turns of studies, then the highest priority, then the oldest (`rules.order`)

Nobody waits for ever: who was served goes behind all for whom no more runs. Where every owner has enough waiting and
whoever is free takes something, what runs for two of them differs by one at most, by two while somebody is about to.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Of one owner: how many items run, how many wait, and the number of the last turn that it had (0: none yet)."""

    running: int = 0
    waiting: int = 0
    turn: int = 0


def together(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What is counted for each owner, all of it."""
    return dict(sum(map(Counter, counts), Counter[str]()))


def in_order(shares: Mapping[str, Share]) -> list[str]:
    """The owners, the one whose turn it is first."""
    return sorted(shares, key=lambda owner: (shares[owner].running, shares[owner].turn, owner))


def position(owner: str, ahead: int, shares: Mapping[str, Share]) -> int:
    """Which turn an item would have if nothing ended and nothing came: 1 for the next one. `ahead` of its owner's own
    wait before it.

    At its turn `running + ahead` run for its owner. Each other owner has had turns until as many run for it; at equal
    numbers those go first for whom they run already, because they were served longer ago.
    """
    mine = shares[owner]
    level = mine.running + ahead
    before = ahead
    for name, other in shares.items():
        if name == owner or (room := level - other.running) < 0:
            continue
        earlier = (-other.running, other.turn, name) < (-mine.running, mine.turn, owner)
        before += min(other.waiting, room + earlier)
    return before + 1
