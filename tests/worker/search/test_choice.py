"""Which trial wins, and that nothing worse than the upload does."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.storage.records import Trial
from tests.support.searching import MILLION, entry, plan_of, result, trial
from winnow.contract.recipe import Requirements
from winnow.contract.search import Objective
from worker.search.baseline import harm_of, is_better_than_upload, upload_meets
from worker.search.choice import MOST_FINALISTS, choose, key_of
from worker.search.measured import BROKEN, UNKNOWN, chance, cost, is_sure, violation


def numbers(rows: list[Trial]) -> list[int]:
    return [row.number for row in rows]


results = st.builds(
    result,
    size=st.integers(1, 2 * MILLION),
    drop=st.floats(-0.02, 0.05),
    width=st.floats(0, 0.02),
    speedup=st.floats(0.2, 5),
    max_drop=st.just(0.01),
)


@settings(deadline=None)
@given(
    st.lists(results, max_size=8),
    st.sampled_from(["size", "latency", "quality", "macs", "memory"]),
    st.randoms(use_true_random=False),
)
def test_the_choice_meets_what_is_required_is_better_than_the_upload_and_depends_on_no_order(
    made: list[dict[str, Any]], objective: Objective, draw: Any
) -> None:
    plan = plan_of([{"kind": "float16"}], objective=objective, require=Requirements(max_metric_drop=0.01))
    rows = [trial(number, result=each) for number, each in enumerate(made)]
    choice = choose(plan, rows)
    shuffled = list(rows)
    draw.shuffle(shuffled)
    assert choose(plan, shuffled) == choice
    assert (choice.kind == "upload") == (not choice.finalists)
    for row in choice.finalists:
        assert row.result is not None
        assert row.result["metrics"]["top1"]["interval"][1] <= 0.01
        assert objective != "size" or row.result["size_bytes"] < MILLION
        assert objective != "latency" or row.result["speedup"]["value"] > 1
    meeting = [row for row in rows if violation(row.result or {}) == 0]
    better = [row for row in meeting if is_better_than_upload(plan, row.result or {})]
    assert bool(choice.finalists) == bool(better)
    chances = [chance(row.result or {}) for row in choice.finalists]
    assert len(chances) <= MOST_FINALISTS
    assert chances == sorted(chances, reverse=True)
    for row in choice.finalists:
        if objective in ("size", "macs", "memory"):
            cheaper = [each for each in better if key_of(plan, each)[2] < key_of(plan, row)[2]]
            assert all(chance(each.result or {}) < chance(row.result or {}) for each in cheaper)


def test_of_two_that_cost_nearly_the_same_the_one_with_more_margin_wins() -> None:
    """The interval of the smaller one ends at what is allowed: half of all finals would find it beyond. Beyond nine in
    ten more margin is worth nothing."""
    rows = [
        trial(0, result=result(size=1000, drop=0.005, width=0.005, max_drop=0.01)),
        trial(1, result=result(size=1010, drop=0.0, width=0.005, max_drop=0.01)),
        trial(2, result=result(size=1200, drop=-0.01, width=0.005, max_drop=0.01)),
    ]
    assert [round(chance(row.result or {}), 2) for row in rows] == [0.5, 0.9, 0.9]
    assert [is_sure(row.result or {}) for row in rows] == [False, True, True]
    assert numbers(choose(plan_of([{"kind": "float16"}]), rows).finalists) == [1, 0]


def test_of_many_those_worth_most_go_into_the_final_the_surest_first() -> None:
    """A twentieth less at a chance of a half is worth less than all of them."""
    sizes_and_drops = [(100_000, 0.005), (690_000, 0.0), (700_000, -0.01), (650_000, 0.004), (300_000, 0.002)]
    rows = [
        trial(number, result=result(size=size, drop=drop, width=0.005, max_drop=0.01))
        for number, (size, drop) in enumerate(sizes_and_drops)
    ]
    assert numbers(choose(plan_of([{"kind": "float16"}]), rows).finalists) == [1, 4, 0]


def test_only_what_was_trained_to_the_end_can_win() -> None:
    rows = [
        trial(0, share=1 / 3, result=result(size=1, max_drop=0.01)),
        trial(1, result=result(size=9, max_drop=0.01)),
    ]
    assert numbers(choose(plan_of([{"kind": "float16"}]), rows).finalists) == [1]


def test_ties_go_to_the_smaller_then_to_fewer_steps_then_to_the_first() -> None:
    plan = plan_of([{"kind": "float16"}], objective="macs")
    same = result(size=10, max_drop=0.01)
    two = {"steps": [{"kind": "float16"}, {"kind": "palette"}]}
    rows = [
        trial(0, result=same, recipe=two),
        trial(1, result=same),
        trial(2, result=same),
        trial(3, result=same | {"size_bytes": 9}),
    ]
    ranked = sorted(rows, key=lambda row: key_of(plan, row))
    assert numbers(ranked) == [3, 1, 2, 0]


def test_where_the_upload_does_not_meet_the_requirements_the_closest_comes_back() -> None:
    plan = plan_of([{"kind": "float16"}], require=Requirements(max_size_ratio=0.1))
    entries = [entry("max_size_ratio", 0.1, ratio, met=False) for ratio in (0.5, 0.2, 0.3)]
    rows = [trial(number, result=result(requirements=[each])) for number, each in enumerate(entries)]
    choice = choose(plan, rows)
    assert (choice.kind, numbers(choice.finalists)) == ("closest", [1])
    assert choose(plan, []).kind == "upload"


def test_where_nothing_is_required_of_the_quality_harm_decides_before_the_objective() -> None:
    plan = plan_of([{"kind": "float16"}], require=Requirements(max_size_ratio=0.5))
    met = [entry("max_size_ratio", 0.5, 0.4)]
    harmful = result(size=10, drop=0.2, width=0.01, requirements=met)
    harmless = result(size=400_000, drop=0.0, width=0.01, requirements=met)
    assert numbers(choose(plan, [trial(0, result=harmful), trial(1, result=harmless)]).finalists) == [1]
    assert numbers(choose(plan, [trial(0, result=harmful)]).finalists) == [0]


def test_without_any_requirement_what_harms_does_not_win_against_the_upload() -> None:
    plan = plan_of([{"kind": "float16"}], require=Requirements())
    assert choose(plan, [trial(0, result=result(size=10, drop=0.2))]).kind == "upload"
    assert choose(plan, [trial(0, result=result(size=10))]).kind == "best"


@pytest.mark.parametrize(
    ("changes", "harms"),
    [
        ({}, 0.0),
        ({"metrics": {"agreement": {"before": 1, "after": 0.85, "drop": 0.15, "interval": (0.1, 0.2)}}}, 0.1),
        ({"metrics": {}, "parity": {"cosine": 0.9, "snr_db": 15.0}}, 5.0),
        ({"metrics": {}, "parity": {"cosine": None, "snr_db": None}}, 0.0),
    ],
)
def test_harm_is_told_by_labels_else_agreement_else_parity(changes: dict[str, Any], harms: float) -> None:
    plan = plan_of([{"kind": "float16"}], require=Requirements())
    assert harm_of(plan, result(drop=0.0) | changes) == pytest.approx(harms)


def test_trials_too_close_in_speed_go_into_the_final_together_three_at_most_each_graph_once() -> None:
    plan = plan_of([{"kind": "float16"}], objective="latency")
    speeds = [1.5, 2.0, 1.99, 1.98, 1.97, 1.98]
    rows = [
        trial(number, result=result(speedup=speed, size=10 + number, max_drop=0.01))
        for number, speed in enumerate(speeds)
    ]
    assert numbers(choose(plan, rows).finalists) == [1, 2, 3]
    alike = [trial(row.number, result=row.result, graph_sha256="same") for row in rows]
    assert numbers(choose(plan, alike).finalists) == [1]
    assert numbers(choose(plan, rows[:2]).finalists) == [1]


def test_a_short_timing_is_judged_by_its_value_and_all_else_on_the_worse_bound() -> None:
    fast = entry("min_speedup", 1.5, 1.6, (1.3, 1.9), met=False)
    assert violation({"requirements": [fast]}) == 0
    drop = entry("max_metric_drop", 0.02, 0.01, (0.0, 0.04), met=False)
    assert violation({"requirements": [drop]}) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "asked", "measured", "expected"),
    [
        ("max_size_bytes", 100, 150, 0.5),
        ("min_cosine", 0.98, 0.97, 0.5),
        ("min_agreement", 0.9, 0.95, 0.0),
        ("metrics.top1.min", 0.8, 0.6, 0.25),
        ("metrics.mae.max", 2.0, 3.0, 0.5),
        ("max_metric_drop", 0.0, 0.005, 0.5),
        ("min_snr_db", 30.0, None, UNKNOWN),
        ("finite_outputs", 0.0, None, BROKEN),
        ("runs_on_target", 0.0, None, BROKEN),
    ],
)
def test_a_violation_is_how_far_off_in_parts_of_the_bound(
    name: str, asked: float, measured: float | None, expected: float
) -> None:
    assert violation({"requirements": [entry(name, asked, measured, met=False)]}) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("require", "meets"),
    [
        ({"max_metric_drop": 0.01, "min_cosine": 0.9}, True),
        ({"max_size_ratio": 1.0, "min_speedup": 1.0}, True),
        ({"max_size_ratio": 0.9}, False),
        ({"min_speedup": 1.1}, False),
        ({"max_size_bytes": MILLION}, True),
        ({"max_size_bytes": MILLION - 1}, False),
        ({"metrics": {"top1": {"min": 0.85}}}, True),
        ({"metrics": {"top1": {"min": 0.95}}}, False),
        ({"metrics": {"top1": {"max_drop": 0.1}}}, True),
        ({"metrics": {"top5": {"min": 0.1}}}, False),
        ({"max_latency_ms": 10.0}, True),
        ({"max_latency_ms": 7.0}, False),
        ({"max_memory_bytes": 10}, False),
    ],
)
def test_what_the_upload_meets_is_known_from_it_and_from_what_trials_measured(
    require: dict[str, Any], meets: bool
) -> None:
    plan = plan_of([{"kind": "float16"}], require=Requirements.model_validate(require))
    limit = require.get("max_latency_ms", 1.0)
    row = trial(0, result=result(speedup=2.0, requirements=[entry("max_latency_ms", limit, 4.0)]))
    assert upload_meets(plan, [row]) is meets


def test_costs_that_were_not_measured_are_none() -> None:
    nothing: dict[str, Any] = {"size_bytes": 1, "speedup": None, "metrics": {}, "macs": None, "parity": None}
    objectives: list[Objective] = ["latency", "macs", "memory", "quality"]
    assert [cost(nothing, objective) for objective in objectives] == [None] * 4
    assert cost(result(speedup=4.0), "latency") == 0.25


def test_what_could_not_be_timed_goes_into_the_final_where_nothing_else_meets_what_is_required() -> None:
    small = entry("max_size_ratio", 0.5, 0.4)
    untimed = result(size=400_000, requirements=[small]) | {"speedup": None}
    plan = plan_of([{"kind": "float16"}], objective="latency", require=Requirements(max_size_ratio=0.5))
    choice = choose(plan, [trial(0, result=untimed)])
    assert (choice.kind, numbers(choice.finalists)) == ("best", [0])


@pytest.mark.parametrize(("before", "kind"), [(500_000, "upload"), (700_000, "best"), (None, "best")])
def test_what_takes_more_memory_than_the_upload_did_beside_it_is_no_better(
    before: int | None, kind: str
) -> None:
    """Not known of trials of an older version."""
    measured = result(max_drop=0.01) | {"memory_bytes": 600_000}
    if before is not None:
        measured |= {"memory_before_bytes": before}
    plan = plan_of([{"kind": "float16"}], objective="memory")
    assert choose(plan, [trial(0, result=measured)]).kind == kind
