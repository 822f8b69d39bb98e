"""Turns as pure functions: what `position` tells is what happens."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from app.storage.fairness import Share, in_order, position

SHARES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(Share, running=st.integers(0, 4), waiting=st.integers(1, 5), turn=st.integers(0, 9)),
    min_size=1,
)
"""Of several owners; two that never had a turn have the same number."""


def turns(shares: dict[str, Share]) -> Iterator[str]:
    """Who has the next turn, and so on, until nothing waits: each claim makes a share anew."""
    last = max(share.turn for share in shares.values())
    while shares:
        owner = in_order(shares)[0]
        yield owner
        mine, last = shares.pop(owner), last + 1
        if mine.waiting > 1:
            shares[owner] = Share(mine.running + 1, mine.waiting - 1, last)


def distinct(shares: dict[str, Share]) -> bool:
    given = [share.turn for share in shares.values() if share.turn]
    return len(given) == len(set(given))


@given(SHARES.filter(distinct))
def test_a_position_is_the_turn_that_comes(shares: dict[str, Share]) -> None:
    seen = dict.fromkeys(shares, 0)
    for number, owner in enumerate(turns(dict(shares)), 1):
        assert position(owner, seen[owner], shares) == number
        seen[owner] += 1


@given(SHARES)
def test_for_whom_nothing_runs_is_served_before_anyone_is_served_twice(shares: dict[str, Share]) -> None:
    order = list(turns(dict(shares)))
    for owner in (owner for owner, share in shares.items() if share.running == 0):
        before = order[: order.index(owner)]
        assert len(before) == len(set(before))


@given(SHARES)
def test_turns_bring_what_runs_together(shares: dict[str, Share]) -> None:
    """Until one of two has nothing left to run, the one with less catches up, and then they differ by one at most."""
    running = {owner: share.running for owner, share in shares.items()}
    left = {owner: share.waiting for owner, share in shares.items()}
    for owner in turns(dict(shares)):
        others = [running[other] for other in shares if left[other]]
        assert running[owner] == min(others)
        running[owner] += 1
        left[owner] -= 1
