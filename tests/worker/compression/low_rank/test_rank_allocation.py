"""Ranks spread over layers: within the budget where that can be, and no exchange of two options is better."""

from itertools import product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.low_rank.decompositions import Cost, Split
from worker.compression.low_rank.rank_allocation import Option, allocate_ranks, cheapest


def option(macs: int, lost: float) -> Option:
    return Option(Cost(macs, 2 * macs), Split("svd", (macs,)) if lost else None, lost)


def layers(seed: int, count: int) -> list[list[Option]]:
    """Of each what it is, and up to eight ways to have less."""
    rng = np.random.default_rng(seed)
    return [
        [
            option(100, 0.0),
            *(option(int(m), float(e)) for m, e in zip(rng.integers(5, 99, 8), rng.random(8), strict=True)),
        ]
        for _ in range(count)
    ]


def macs(cost: Cost) -> int:
    return cost.macs


def total(chosen: Any) -> int:
    return sum(found.cost.macs for found in chosen)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9999), budget=st.integers(0, 300))
def test_the_budget_is_kept_where_it_can_be_and_nearly_all_that_can_be_kept_is(
    seed: int, budget: int
) -> None:
    found = layers(seed, 3)
    chosen = allocate_ranks(found, budget, macs)
    able = [every for every in product(*found) if total(every) <= budget]
    if not able:
        assert [x.cost for x in chosen] == [min(x, key=lambda o: o.cost.macs).cost for x in found]
        return
    assert total(chosen) <= budget
    for place, options in enumerate(found):
        for other in options:
            changed = [*chosen[:place], other, *chosen[place + 1 :]]
            assert total(changed) > budget or other.penalty >= chosen[place].penalty


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9999), cut=st.integers(1, 200))
def test_what_is_spent_is_spent_in_the_best_way_up_to_one_step(seed: int, cut: int) -> None:
    """Nothing beats it that costs no more than it did before its last step: the hull's own guarantee."""
    found = layers(seed, 3)
    chosen = allocate_ranks(found, 300 - cut, macs)
    slack = 100  # one layer's step, at most
    best = min(
        (sum(o.penalty for o in every) for every in product(*found) if total(every) <= total(chosen) - slack),
        default=float("inf"),
    )
    assert sum(o.penalty for o in chosen) <= best + 1e-9


def test_the_cheapest_keeps_what_is_asked_and_is_the_layer_itself_where_nothing_else_does() -> None:
    options = [option(100, 0.0), option(60, 0.04), option(40, 0.1), option(40, 0.2)]
    assert cheapest(options, lambda cost: cost.macs, 0.05) == options[1]
    assert cheapest(options, lambda cost: cost.macs, 0.15) == options[2]
    assert cheapest(options, lambda cost: cost.macs, 0.01) == options[0]
