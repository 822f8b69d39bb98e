"""What a search may still spend, and what it says of itself."""

from dataclasses import replace

import pytest

from app.storage.records import Worker
from tests.support.searching import PROBLEM, plan_of, result, trial
from winnow.contract.search import Budget
from worker.search.budget import alive, is_spent, only_failures, progress, room, seconds_left, time_is_up
from worker.search.choice import Choice, choose
from worker.search.report import begun, sentences, tally

PLAN = plan_of([{"kind": "channel_pruning", "amount": {"between": [0.1, 0.9]}}], budget=Budget(trials=4))
TIMED = replace(PLAN, budget=Budget(seconds=100))
DONE = trial(0, seconds=10.0, result=result(size=5, max_drop=0.01))
SKIPPED = trial(
    1,
    state="stopped_early",
    result={"predicted_size_bytes": 2_000_000, "violation": 1.0},
    params={"steps.0.amount": 0.1},
)


@pytest.mark.parametrize(("workers", "free"), [(0, 0), (1, 0), (2, 1), (9, 2)])
def test_room_is_what_workers_and_the_budget_leave_and_what_is_not_run_costs_nothing(
    workers: int, free: int
) -> None:
    assert room(PLAN, [DONE, SKIPPED, trial(2, state="running")], workers) == free


@pytest.mark.parametrize(("now", "up"), [(1000.0, False), (1094.0, False), (1096.0, True), (1200.0, True)])
def test_no_trial_is_begun_that_has_no_time_to_end(now: float, up: bool) -> None:
    assert time_is_up(TIMED, [DONE], now) is up
    assert is_spent(TIMED, [DONE], now) is up


def test_a_search_is_given_up_only_when_all_of_several_trials_failed() -> None:
    failed = [trial(number, state="failed", problem=PROBLEM) for number in range(6)]
    assert only_failures(PLAN, failed)
    assert not only_failures(PLAN, failed[:5])
    assert not only_failures(PLAN, [*failed, trial(6, result=result())])


def test_progress_and_the_rest_are_told_by_trials_or_by_the_clock() -> None:
    rows = [DONE, replace(DONE, id="b", number=1), trial(2, state="running")]
    assert progress(PLAN, rows, 1020.0) == pytest.approx(0.95 / 2)
    assert seconds_left(PLAN, rows, 1, 1020.0) == 20
    assert seconds_left(PLAN, rows, 2, 1020.0) == 10
    assert seconds_left(PLAN, [], 1, 1020.0) is None
    assert progress(TIMED, rows, 1050.0) == pytest.approx(0.95 / 2)
    assert seconds_left(TIMED, rows, 1, 1050.0) == 50
    assert seconds_left(TIMED, rows, 1, 2000.0) == 0


def test_the_report_says_what_was_searched_what_was_run_why_it_ended_and_what_decided() -> None:
    rows = [DONE, SKIPPED, trial(2, state="failed", problem=PROBLEM), trial(3, state="stopped_early")]
    words = sentences(PLAN, rows, choose(PLAN, rows), 1000.0)
    assert words == [
        "Space 0: channel_pruning, open: 0.amount from 0.1 to 0.9. It is tried because: it is a test.",
        "Trials: 1 done, 1 stopped early, 1 failed, 1 not run because of their predicted size.",
        "It ended before its budget: nothing was left that would have been worth a trial.",
        "Trial 0 is the best by size of those that meet what is required and will likely meet it on the final part.",
    ]
    assert begun(SKIPPED) == "Trial 1 (0.amount 0.1) is not run: 2,000,000 bytes are predicted, too many."


def test_why_it_ended_is_told_as_of_the_final() -> None:
    final = trial(1, role="final", state="running", created_at=1050.0)
    words = sentences(TIMED, [DONE, final], Choice("upload", []), 5000.0)
    assert words[2:] == [
        "It ended before its budget: nothing was left that would have been worth a trial.",
        "Nothing was better than the upload: the result is the upload, tidied.",
    ]
    assert "It ended with its 100 seconds." in sentences(TIMED, [DONE], Choice("upload", []), 5000.0)


def seen(host: str, started_at: float, last_seen: float) -> Worker:
    id = f"wrk_{host}_{started_at}"
    return Worker(id=id, host=host, queues=("cpu",), version="1", started_at=started_at, last_seen=last_seen)


def test_a_worker_that_was_started_again_is_counted_once() -> None:
    killed, again = seen("a", 0, 50), seen("a", 51, 60)
    assert alive([killed, again]) == 1
    assert alive([seen("a", 0, 60), again]) == 2
    assert alive([seen("b", 0, 50), again]) == 2
    assert alive([]) == 0


def test_without_trials_the_tally_says_so() -> None:
    assert tally([]) == "Trials: none."
