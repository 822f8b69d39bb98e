from hypothesis import given
from hypothesis import strategies as st

from winnow.contract.trial import Costs, pareto

VALUES = st.sampled_from([1.0, 2.0, 3.0, float("inf")])
TRIALS = st.dictionaries(st.integers(0, 50), st.builds(Costs, VALUES, VALUES, VALUES), max_size=20)


def dominates(one: Costs, other: Costs) -> bool:
    """The definition, as books have it."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(TRIALS)
def test_the_front_is_what_no_other_trial_dominates(costs: dict[int, Costs]) -> None:
    by_definition = {n for n, mine in costs.items() if not any(dominates(o, mine) for o in costs.values())}
    assert pareto(costs) == by_definition


@given(TRIALS)
def test_every_trial_outside_is_beaten_by_one_of_the_front(costs: dict[int, Costs]) -> None:
    front = pareto(costs)
    assert all(any(dominates(costs[n], costs[m]) for n in front) for m in costs.keys() - front)


def test_ties_stay_together() -> None:
    assert pareto({0: Costs(1, 2, 3), 1: Costs(1, 2, 3), 2: Costs(1, 2, 4)}) == {0, 1}


def test_what_was_not_measured_counts_as_the_worst() -> None:
    missing = float("inf")
    assert pareto({0: Costs(1, missing, 1), 1: Costs(1, 0.5, 1)}) == {1}
    assert pareto({0: Costs(1, missing, 1), 1: Costs(2, 0.5, 1)}) == {0, 1}
    assert pareto({}) == frozenset()
