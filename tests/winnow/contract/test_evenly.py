"""Evenly spaced blocks stay, layers as a whole, and what cannot go is named."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.support.refusals import refusal
from winnow.contract.evenly import going, units_of, why_it_stays
from winnow.contract.model import HOLDS_OTHERS, ResidualBlock


def block(number: int, *, pinned: str | None = None, attends: bool = False) -> ResidualBlock:
    return ResidualBlock(name=f"join{number}", layers=[f"layer{number}"], pinned=pinned, attends=attends)


LAYERS = [f"layer{number}" for number in range(40)]


@given(count=st.integers(2, 30), kept=st.integers(1, 29))
def test_as_many_stay_as_the_depth_says_the_first_among_them_evenly_spaced(count: int, kept: int) -> None:
    kept = min(kept, count - 1)
    units = units_of([block(number) for number in range(count)], LAYERS)
    gone = {unit[0].name for unit in going(units, kept / count, [], "depth")}
    places = [place for place, unit in enumerate(units) if unit[0].name not in gone]
    assert len(places) == kept
    assert places[0] == 0
    gaps = [b - a for a, b in pairwise(places)]
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


@given(pinned=st.lists(st.booleans(), min_size=1, max_size=20), depth=st.floats(0.01, 1))
def test_what_cannot_go_stays_or_the_depth_is_refused(pinned: list[bool], depth: float) -> None:
    blocks = [
        block(n, pinned="its shortcut has layers of its own" if p else None) for n, p in enumerate(pinned)
    ]
    units = units_of(blocks, LAYERS)
    gone: list[list[ResidualBlock]] = []
    problem = refusal(lambda: gone.extend(going(units, depth, [], "depth")))
    staying = int(depth * len(pinned) + 0.5)
    impossible = all(pinned) or staying < max(1, sum(pinned)) or staying == len(pinned)
    assert (problem is not None) == (impossible and depth < 1)
    assert len(gone) == (0 if impossible else len(pinned) - staying)
    assert all(why_it_stays(unit, []) is None for unit in gone)


def test_a_layer_begins_with_attention_and_ends_before_the_next() -> None:
    """Of a decoder with two attentions in a layer too; whatever the order in which the blocks come."""
    kinds = [True, True, False] * 2
    blocks = [block(number, attends=attends) for number, attends in enumerate(kinds)]
    units = units_of(blocks[::-1], LAYERS)
    assert [[each.name for each in unit] for unit in units] == [
        ["join0", "join1", "join2"],
        ["join3", "join4", "join5"],
    ]


def test_blocks_around_others_are_not_counted() -> None:
    assert len(units_of([block(0), block(1, pinned=HOLDS_OTHERS)], LAYERS)) == 1
