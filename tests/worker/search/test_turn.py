"""A whole search, with made-up results: it ends, within its budget, and repeats nothing."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.searching import MILLION, Service, noisy, plan_of, result
from winnow.contract.errors import Problem
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.search import Budget
from worker.search.plan import Plan

PRUNING = {"kind": "channel_pruning", "amount": {"between": [0.1, 0.9]}}
WEIGHTS = {"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}, "block": {"any_of": [32, 128]}}
TRAINING = {"kind": "distillation", "epochs": 18, "temperature": {"between": [1, 10]}}
SPACES = {
    "one closed": [[{"kind": "float16"}]],
    "one edge": [[PRUNING]],
    "finite": [[WEIGHTS]],
    "trains": [[PRUNING, TRAINING]],
    "several": [[PRUNING], [WEIGHTS], [{"kind": "float16", "optional": True}, {"kind": "palette"}]],
}


def evaluate(seed: int, failures: float = 0.0) -> Any:
    """Sizes and drops that follow from the recipe; some recipes fail."""

    def run(recipe: dict[str, Any], share: float) -> dict[str, Any]:
        draw = random.Random(f"{seed}{recipe}")
        if draw.random() < failures:
            raise ValueError("nothing to compress")
        size = 1.0
        for step in recipe["steps"]:
            size *= 1 - (step.get("amount") or 0.3) + step.get("bits", 0) / 40
        drop = (1 - size) ** 3 / 20 / share**0.2 + noisy(seed, recipe, 0.002)
        return result(
            size=size * MILLION, drop=drop, width=0.002, speedup=draw.uniform(0.8, 2), max_drop=0.01
        )

    return run


plans = st.builds(
    lambda space, trials, seed, objective, require: plan_of(
        *SPACES[space],
        seed=seed,
        budget=Budget(trials=trials),
        objective=objective,
        require=Requirements(**require),
    ),
    st.sampled_from(sorted(SPACES)),
    st.integers(1, 14),
    st.integers(0, 100),
    st.sampled_from(["size", "latency", "quality", "macs"]),
    st.sampled_from([{}, {"max_metric_drop": 0.01}]),
)


@settings(max_examples=40, deadline=None)
@given(plans, st.integers(1, 4), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.3, 1.0]))
def test_every_search_ends_within_its_budget_and_tries_nothing_twice(
    plan: Plan, workers: int, failures: float, stops: float
) -> None:
    service = Service(plan, evaluate(plan.seed, failures), workers=workers, stops=stops).run()
    assert service.job["state"] == "succeeded"
    assert plan.budget.trials is not None
    assert len(service.trials) <= plan.budget.trials
    assert len(service.runs) == len(set(service.runs))
    assert all(row.state in ("finished", "failed", "stopped_early") for row in service.rows)
    winners = {row.number: row for row in service.trials if row.number in service.final.candidates}
    assert all(row.state == "finished" and row.share == 1 for row in winners.values())
    assert len(service.final.candidates) == len(winners)


@settings(max_examples=25, deadline=None)
@given(plans, st.integers(0, 10_000))
def test_workers_that_are_killed_change_no_decision(plan: Plan, kills: int) -> None:
    """Killed within a turn nothing was written; killed within a trial the trial waits again."""
    plan, draw = replace(plan, objective="size"), random.Random(kills)
    calm = Service(plan, evaluate(plan.seed)).run()
    killed = Service(plan, evaluate(plan.seed))
    while killed.job.get("state") != "succeeded":
        rows, job = list(killed.rows), dict(killed.job)
        killed.turn()
        if draw.random() < 0.3:
            killed.rows, killed.job = rows, job
            continue
        draw.shuffle(killed.rows)
        for row in killed.waiting()[:1]:
            if draw.random() < 0.3:
                killed.put(replace(row, attempt=row.attempt + 1))
            else:
                killed.end(row)
    assert decisions(killed) == decisions(calm)


def decisions(service: Service) -> list[Any]:
    rows = sorted(service.rows, key=lambda row: row.number)
    return [
        (row.number, row.role, row.state, row.space, row.params, row.rung, row.candidates) for row in rows
    ]


@settings(max_examples=20, deadline=None)
@given(plans, st.integers(1, 30), st.floats(0.5, 10), st.integers(1, 3))
def test_a_budget_in_seconds_ends_a_search_too(plan: Plan, seconds: int, takes: float, workers: int) -> None:
    plan = replace(plan, budget=Budget(seconds=seconds))
    service = Service(plan, evaluate(plan.seed), workers=workers, seconds=takes).run()
    assert service.job["state"] == "succeeded"
    begun = [row.created_at for row in service.trials]
    assert max(begun) < plan.started_at + seconds
    assert all(row.deadline == plan.started_at + seconds for row in service.trials)


def test_a_space_of_few_recipes_is_gone_through_and_no_more() -> None:
    service = Service(plan_of([WEIGHTS], budget=Budget(trials=100)), evaluate(0)).run()
    assert len(service.trials) == 6
    assert any("before its budget" in message for message in service.messages)


WIDTHS = {"kind": "student", "width": {"between": [0.25, 0.75]}, "depth": {"any_of": [1.0, 0.5]}}
EXCLUDING = {
    "kind": "student",
    "width": {"any_of": [1.0, 0.75, 0.5]},
    "target": {"any_of": [None, "macs", "parameters"]},
    "amount": {"any_of": [None, 0.3, 0.5]},
}
"""Of 27 places 7 are allowed: a target needs an amount, and leaves no width but 1; an amount needs a target."""
REFUSED = Problem(
    type="", title="", status=422, code="does_not_divide", detail="No.", field=None, layer=None, errors=[]
)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["excluding", "divides", "both"]),
    st.integers(1, 7),
    st.integers(0, 100),
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 12]),
)
def test_whatever_would_be_refused_as_a_job_is_not_run_and_costs_no_budget(
    which: str, trials: int, seed: int, workers: int, parts: int
) -> None:
    """Widths have to be so many parts of the whole; where settings exclude each other no row is made at all."""
    spaces = {"excluding": [[EXCLUDING]], "divides": [[WIDTHS]], "both": [[EXCLUDING], [WIDTHS]]}[which]

    def refuse(recipe: Recipe) -> Problem | None:
        width = recipe.model_dump()["steps"][0]["width"]
        return REFUSED if abs(width * parts - round(width * parts)) > 1e-3 else None

    plan = plan_of(*spaces, seed=seed, budget=Budget(trials=trials), refuse=refuse)
    service = Service(plan, evaluate(seed), workers=workers).run()
    assert all(refuse(Recipe.model_validate(row.recipe)) is None for row in service.trials if row.seconds)
    ran = [row for row in service.trials if row.seconds]
    refused = [row for row in service.trials if not row.seconds]
    assert len(ran) <= trials
    assert all((row.state, row.problem) == ("failed", REFUSED.model_dump(mode="json")) for row in refused)
    if which == "excluding" and parts == 12:  # all seven that go together divide
        assert len(ran) == trials


def test_a_space_of_which_one_place_would_be_taken_runs_that_and_ends() -> None:
    """The middle, which is what the door looks at."""
    plan = plan_of(
        [WIDTHS | {"depth": 1.0}],
        require=Requirements(),
        refuse=lambda recipe: None if recipe.model_dump()["steps"][0]["width"] == 0.5 else REFUSED,
    )
    service = Service(plan, evaluate(0)).run()
    assert [row.params for row in service.trials if row.seconds] == [{"steps.0.width": 0.5}]
    assert any("not run because they would be refused as jobs" in text for text in service.messages)
    assert any("is not run: No." in text for text in service.messages)


def test_what_is_predicted_to_be_too_large_is_not_run_and_costs_no_budget() -> None:
    def predict(recipe: Any) -> int | None:
        return int(MILLION * recipe.steps[0].bits / 32)

    plan = plan_of(
        [WEIGHTS],
        predict=predict,
        budget=Budget(trials=4),
        require=Requirements(max_size_bytes=MILLION // 6, max_metric_drop=0.01),
    )
    service = Service(plan, evaluate(0)).run()
    skipped = [row for row in service.trials if row.result and "predicted_size_bytes" in row.result]
    assert {row.params["steps.0.bits"] for row in skipped} == {8}
    assert len(service.runs) == 4
    assert all("'bits': 8" not in recipe for recipe, _ in service.runs)


def test_a_search_whose_trials_all_fail_ends_early_with_the_upload() -> None:
    service = Service(plan_of([PRUNING, TRAINING], budget=Budget(trials=50)), evaluate(0, failures=1.0)).run()
    assert len(service.trials) == 6
    assert service.final.candidates == []
    assert service.final.recipe is None


def test_a_lost_trial_is_a_result_and_the_search_goes_on() -> None:
    service = Service(plan_of([WEIGHTS], budget=Budget(trials=6)), evaluate(0))
    service.turn()
    [first] = service.waiting()
    service.put(replace(first, state="failed", problem={"code": "worker_lost", "detail": "Lost."}))
    service.run()
    assert len(service.trials) == 6
    assert first.number not in service.final.candidates


def test_cancelled_it_ends_with_the_best_so_far_once_nothing_runs() -> None:
    service = Service(plan_of([PRUNING]), evaluate(0), workers=2)
    for _ in range(2):
        service.turn()
        for row in service.waiting():
            service.end(row)
    service.turn()
    waiting, running = service.waiting()
    service.put(replace(running, state="running"))
    assert service.turn(cancelling=True).job is None
    assert {row.state for row in service.rows if row.id == waiting.id} == {"stopped_early"}
    service.put(replace(running, state="stopped_early"))
    service.turn(cancelling=True)
    assert service.job["state"] == "cancelled"
    assert service.job["artifact_sha256"] in {row.id for row in service.trials}


def test_a_final_that_fails_is_done_again_with_one_candidate_and_then_the_job_fails() -> None:
    plan = plan_of([WEIGHTS], objective="latency", budget=Budget(trials=6))
    service = Service(plan, lambda recipe, share: result(speedup=1.5, max_drop=0.01))
    while not any(row.role == "final" for row in service.rows):
        service.turn()
        for row in service.waiting():
            if row.role == "trial":
                service.end(row)
    assert len(service.final.candidates) == 3
    problem = {"code": "worker_lost", "detail": "Lost."}
    service.put(replace(service.final, state="failed", problem=problem))
    service.turn()
    assert len(service.final.candidates) == 1
    service.put(replace(service.final, state="failed", problem=problem))
    service.turn()
    assert service.job == service.job | {"state": "failed", "problem": problem}


def test_a_retried_job_is_judged_anew_with_the_trials_that_it_has() -> None:
    service = Service(plan_of([WEIGHTS], budget=Budget(trials=3)), evaluate(0)).run()
    service.put(replace(service.final, state="failed"))
    service.plan = replace(service.plan, started_at=service.now + 1)
    service.now += 1
    service.job = {}
    service.run()
    assert len(service.trials) == 3
    assert [row.role for row in sorted(service.rows, key=lambda row: row.number)].count("final") == 2


def test_a_retried_job_tries_again_what_was_cut_off_and_pays_for_it_once() -> None:
    """Its edge lies where it would have without."""

    def small(recipe: dict[str, Any], _: float) -> dict[str, Any]:
        amount = recipe["steps"][0]["amount"]
        return result(size=MILLION * (1 - amount), drop=0.0 if amount < 0.7 else 0.1, max_drop=0.01)

    plan = plan_of([{"kind": "channel_pruning", "amount": {"between": [0.1, 0.9]}}], budget=Budget(trials=8))
    service = Service(plan, small)
    service.turn()
    service.turn(cancelling=True)
    assert [row.state for row in service.trials] == ["stopped_early"]
    service.plan, service.job = replace(plan, started_at=service.now + 1), {}
    service.now += 1
    undisturbed = Service(plan, small).run()
    assert [row.recipe for row in service.run().trials[1:]] == [row.recipe for row in undisturbed.trials]


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_is_in_the_air_than_workers_are_alive(workers: int) -> None:
    service = Service(plan_of([PRUNING, WEIGHTS], budget=Budget(trials=10)), evaluate(0), workers=workers)
    service.turn()
    assert len(service.waiting()) == workers
    service.turn()
    assert len(service.waiting()) == workers


def test_progress_grows_and_leaves_the_last_twentieth_to_the_final() -> None:
    service = Service(plan_of([WEIGHTS], budget=Budget(trials=5)), evaluate(0))
    seen = []
    while service.job.get("state") is None:
        service.turn()
        seen.append(service.job["progress"])
        for row in service.waiting():
            service.end(row)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 0.95)
