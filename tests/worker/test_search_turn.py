"""Turns of a study over a store: a search from its job to its end, through deaths of workers and cancels."""

import random
import subprocess
import sys
import time
from typing import Any

import pytest

from app.storage.ids import study_of
from app.storage.memory import MemoryRecords
from app.storage.records import Job, Study, Trial
from tests.support.facts import model_facts
from tests.support.records import a_job, an_upload
from tests.support.searching import MILLION, result
from winnow.contract.dividing import TOLERANCE
from winnow.contract.model import ChannelGroup, ModelFacts
from winnow.contract.recipe import Recipe
from worker.search_admission import refusals
from worker.search_turn import take_turn

WEIGHTS = {"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}, "block": {"any_of": [32, 128]}}
LEASE = 30.0


def searching(
    trials: int = 5, step: dict[str, Any] = WEIGHTS, facts: ModelFacts | None = None, **request: Any
) -> tuple[MemoryRecords, Job]:
    """A store with a job that searches few recipes for the smallest."""
    records = MemoryRecords()
    stored = (facts or model_facts()).model_dump(mode="json")
    model = an_upload(state="ready", facts=stored, size_bytes=MILLION)
    records.add_upload(model)
    recipe = {"steps": [step]}
    made = {
        "model": model.id,
        "recipe": recipe,
        "search": {"objective": "size", "budget": {"trials": trials}},
        "data": {"evaluation": {"dataset": "dst_gone"}},
        "evaluation": {"metric": "top1"},
        "require": {"max_metric_drop": 0.01},
    }
    space = {"recipe": recipe, "why": "it is a test"}
    job = a_job(model, searches=True, spaces=[space], request=made | request, created_at=time.time())
    records.add_job(job, None)
    return records, job


def run(records: MemoryRecords, job: Job, deaths: float = 0.0, seed: int = 0) -> None:
    """Take turns and run trials until nothing waits; some workers die on the way, and their leases run out."""
    draw, waiting = random.Random(seed), [study_of(job.id)]
    while waiting:
        id, now = waiting.pop(0), time.time()
        item = records.claim(id, now, LEASE, "wrk_1")
        if item is None:
            continue
        if draw.random() < deaths:
            records.release(id, item.attempt, now, blame=False)
            waiting.append(id)
        elif isinstance(item, Study):
            waiting += [wake.id for wake in take_turn(records, item, more_attempts=3)]
        else:
            assert isinstance(item, Trial)
            end(records, item)
            waiting.append(study_of(job.id))


def end(records: MemoryRecords, trial: Trial) -> None:
    if trial.role == "final":
        assert records.finish(
            trial.id,
            trial.attempt,
            time.time(),
            {"state": "finished"},
            {"state": "succeeded", "outcome": "accepted"},
        )
        return
    numbers = trial.params
    size = MILLION * numbers.get("steps.0.bits", 8) / 32 + numbers.get("steps.0.block", 32)
    made = {"state": "finished", "result": result(size=size, max_drop=0.01), "artifact_sha256": "a" * 64}
    assert records.finish(trial.id, trial.attempt, time.time(), made)


def course(records: MemoryRecords, job: Job) -> list[Any]:
    return [
        (row.number, row.role, row.state, row.params, row.candidates) for row in records.trial_rows(job.id)
    ]


def test_a_search_goes_from_its_job_to_its_end() -> None:
    records, job = searching()
    run(records, job)
    ended = records.job(job.owner, job.id)
    assert ended is not None
    assert ended.state == "succeeded"
    assert [row.role for row in records.trial_rows(job.id)] == ["trial"] * 5 + ["final"]
    study = records.study(job.id)
    assert study is not None
    assert study.state == "closed"
    assert any("is the best by size" in event.message for event in records.events(job.id, 0, 1000))


def test_a_value_inside_a_range_that_would_be_refused_as_a_job_is_not_run() -> None:
    """Of two channels a width leaves one, a quarter of the way, up to 0.05 of one."""
    facts = model_facts(channel_groups=[ChannelGroup(channels=2, producers=[0])])
    records, job = searching(8, {"kind": "student", "width": {"between": [0.375, 0.875]}}, facts)
    run(records, job)
    rows = [row for row in records.trial_rows(job.id) if row.role == "trial"]
    widths = [row.params["steps.0.width"] for row in rows if row.state == "finished"]
    assert 0.5 in widths
    assert all(abs(2 * width - 1) <= TOLERANCE for width in widths)
    assert {row.problem["code"] for row in rows if row.problem} == {"does_not_divide"}
    assert all(row.started_at is None for row in rows if row.problem)


def test_uploads_that_are_gone_meanwhile_are_no_reason_against_a_recipe() -> None:
    records, job = searching()
    refuse = refusals(records, job)
    assert refuse(Recipe.model_validate({"steps": [{"kind": "weight_only"}]})) is None


@pytest.mark.parametrize("seed", range(5))
def test_deaths_of_workers_change_nothing(seed: int) -> None:
    calm_records, calm = searching()
    run(calm_records, calm)
    records, job = searching()
    run(records, job, deaths=0.4, seed=seed)
    assert course(records, job) == course(calm_records, calm)


def test_a_cancelled_search_ends_with_the_best_so_far() -> None:
    records, job = searching()
    for _ in range(3):
        study = records.claim(study_of(job.id), time.time(), LEASE)
        assert isinstance(study, Study)
        [wake] = take_turn(records, study, more_attempts=3)
        trial = records.claim(wake.id, time.time(), LEASE, "wrk_1")
        assert isinstance(trial, Trial)
        end(records, trial)
    records.cancel_job(job.owner, job.id, time.time())
    run(records, job)
    ended = records.job(job.owner, job.id)
    assert ended is not None
    assert (ended.state, ended.artifact_sha256, ended.outcome) == ("cancelled", "a" * 64, None)


def test_what_was_decided_before_a_cancel_is_decided_again() -> None:
    records, job = searching()
    study = records.claim(study_of(job.id), time.time(), LEASE)
    assert isinstance(study, Study)
    records.cancel_job(job.owner, job.id, time.time())
    [wake] = take_turn(records, study, more_attempts=3)
    assert wake.id == study.id
    assert records.trial_rows(job.id) == []
    run(records, job)
    ended = records.job(job.owner, job.id)
    assert ended is not None
    assert ended.state == "cancelled"


def test_a_worker_that_never_searches_does_not_import_what_searches() -> None:
    code = "import sys, worker.runner; print(sorted({'optuna', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
