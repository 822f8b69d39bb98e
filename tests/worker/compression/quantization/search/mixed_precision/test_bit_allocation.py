"""Moves under a budget: in order, never absurd, and as good as trying everything on small cases."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from worker.compression.quantization.search.mixed_precision.bit_allocation import (
    FLOAT,
    Choice,
    bits_after,
    count_needed,
    order_moves,
)

costs = st.tuples(st.floats(0, 10), st.floats(0, 10))
layers = st.dictionaries(st.sampled_from("abcd"), st.tuples(costs, st.integers(1, 100)), min_size=1)


def choices(given: dict[str, tuple[tuple[float, float], int]]) -> dict[str, list[Choice]]:
    return {
        name: [Choice(8, eight, size * 0.75), Choice(4, eight + more, size * 0.875)]
        for name, ((eight, more), size) in given.items()
    }


@given(drawn=layers)
def test_a_layer_only_ever_loses_bits_and_ends_at_four(
    drawn: dict[str, tuple[tuple[float, float], int]],
) -> None:
    ordered = order_moves(choices(drawn))
    at = dict.fromkeys(drawn, FLOAT)
    for move in ordered:
        assert move.bits < at[move.layer]
        at[move.layer] = move.bits
    assert set(at.values()) == {4}
    assert [m.price for m in ordered] == sorted(m.price for m in ordered)


@given(drawn=layers, taken=st.integers(0, 8))
def test_no_other_choice_gains_as_much_for_less(
    drawn: dict[str, tuple[tuple[float, float], int]], taken: int
) -> None:
    given_choices = choices(drawn)
    ordered = order_moves(given_choices)[:taken]
    gain, cost = sum(m.gain for m in ordered), sum(m.cost for m in ordered)
    for picked in product(*([Choice(FLOAT, 0, 0), *options] for options in given_choices.values())):
        if sum(c.gain for c in picked) >= gain + 1e-9:
            assert sum(c.cost for c in picked) >= cost - 1e-6


def test_a_prefix_is_the_shortest_that_gains_enough() -> None:
    ordered = order_moves({"a": [Choice(8, 1, 10)], "b": [Choice(8, 5, 10)]})
    assert [count_needed(ordered, needed) for needed in (-1, 0, 1, 10, 11, 20, 21)] == [
        0,
        0,
        1,
        1,
        2,
        2,
        None,
    ]
    assert bits_after(ordered[:1]) == {"a": 8}


def test_what_gains_nothing_is_no_move() -> None:
    assert order_moves({"a": [Choice(8, 0.1, -1), Choice(4, 0.2, 0)]}) == []
