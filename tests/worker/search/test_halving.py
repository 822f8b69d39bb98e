"""Short first, and only the promising ones long."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.searching import Service, plan_of, result, trial
from winnow.contract.search import Budget
from worker.search.halving import decide, value_of
from worker.search.shares import SHARES

SPACE = [
    {"kind": "distillation", "epochs": 18, "temperature": {"between": [1, 10]}, "soft": {"between": [0.1, 1]}}
]
PLAN = plan_of(SPACE, budget=Budget(trials=18))


def short(number: int, size: float, drop: float = 0.0, **changes: Any) -> Any:
    return trial(number, share=SHARES[0], result=result(size=size, drop=drop, max_drop=0.01), **changes)


def test_the_best_third_of_a_rung_goes_on() -> None:
    changes = decide(
        PLAN, [short(number, size) for number, size in enumerate([600, 500, 400, 900, 800, 700])]
    )
    states = [changes[f"trl_{number}"]["state"] for number in range(6)]
    assert states == ["waiting", "waiting", "waiting", "stopped_early", "stopped_early", "stopped_early"]
    assert changes["trl_0"] == {
        "state": "waiting",
        "rung": 1,
        "share": SHARES[1],
        "intermediate": [[0, 600.0]],
    }
    assert changes["trl_3"] == {"state": "stopped_early", "intermediate": [[0, 900.0]]}


def test_rungs_compare_with_their_own_alone() -> None:
    """A short one that was better does not keep a longer one from going on."""
    longer = trial(
        1, rung=1, share=SHARES[1], intermediate=[[0, 500.0]], result=result(size=450, max_drop=0.01)
    )
    stopped = trial(0, state="stopped_early", share=SHARES[0], intermediate=[[0, 400.0]])
    assert decide(PLAN, [stopped, longer])["trl_1"] == {
        "state": "waiting",
        "rung": 2,
        "share": 1.0,
        "intermediate": [[0, 500.0], [1, 450.0]],
    }


@settings(deadline=None)
@given(st.permutations(range(5)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    rows = [short(number, size) for number, size in enumerate([600, 500, 700, 900, 400])]
    assert decide(PLAN, [rows[index] for index in order]) == decide(PLAN, rows)


def test_what_does_not_meet_the_requirements_comes_behind_all_that_do() -> None:
    values = [
        value_of(PLAN, row) for row in (short(0, 9e12), short(1, 1.0, drop=0.02), short(2, 1.0, drop=0.03))
    ]
    assert values == sorted(values)


@pytest.mark.parametrize(("drop", "goes_on"), [(0.05, True), (0.09, False)])
def test_what_is_hopelessly_far_from_the_requirements_stops_also_at_an_edge(
    drop: float, goes_on: bool
) -> None:
    pruning = {"kind": "channel_pruning", "amount": {"between": [0.1, 0.9]}}
    plan = plan_of([pruning, {"kind": "distillation", "epochs": 18}], budget=Budget(trials=18))
    row = short(0, 1000, drop, params={"steps.0.amount": 0.3})
    expected = {"state": "waiting", "share": 1.0} if goes_on else {"state": "stopped_early"}
    assert decide(plan, [row])["trl_0"].items() >= expected.items()


def test_in_a_search_few_trials_are_trained_to_the_end_and_one_of_them_wins() -> None:
    def evaluate(recipe: dict[str, Any], share: float) -> dict[str, Any]:
        far = abs(recipe["steps"][0]["temperature"] - 4) / 10
        return result(size=1e5, drop=far * (1.2 - share), max_drop=0.01)

    service = Service(replace(PLAN, objective="quality"), evaluate).run()
    by_share = {share: sum(run[1] == share for run in service.runs) for share in SHARES}
    assert by_share[SHARES[0]] == 18
    assert 1 <= by_share[1.0] < by_share[SHARES[1]] < 18
