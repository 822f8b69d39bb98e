"""The port `Studies`, and what searches have of the other ports, as every store has to keep it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from app.storage.ids import study_of
from app.storage.ports import Conflict, Records
from app.storage.records import Decision, Event, Job, Study, Trial, Upload, Wake
from tests.support.records import a_job, a_trial, an_upload

LEASE = 30.0
LOOK = 15.0


@pytest.fixture
def model(records: Records) -> Upload:
    upload = an_upload()
    records.add_upload(upload)
    records.claim(upload.id, 1000.0, 1.0)
    records.finish(upload.id, 1, 1000.0, {"state": "ready", "facts": {}})
    return upload


@pytest.fixture
def job(records: Records, model: Upload) -> Job:
    return records.add_job(a_job(model, searches=True), None)[0]


def job_of(records: Records, job: Job) -> Job:
    stored = records.job("local", job.id)
    assert stored is not None
    return stored


def study_now(records: Records, job: Job) -> Study:
    study = records.study(job.id)
    assert study is not None
    return study


def turn(records: Records, search: Job, now: float = 1001.0, /, **decision: Any) -> bool:
    """A whole turn of the study: claimed, read, settled."""
    study = records.claim(study_of(search.id), now, LEASE)
    assert isinstance(study, Study), "the study is not to be had"
    more_attempts = decision.pop("more_attempts", 3)
    return records.settle(study.id, study.attempt, now, study.news, Decision(**decision), more_attempts)


def begun(records: Records, job: Job, count: int = 2, **fields: Any) -> list[Trial]:
    """Trials that wait, decided in the first turn."""
    trials = [a_trial(job, number, **fields) for number in range(count)]
    assert turn(records, job, add=trials)
    return trials


def claimed(records: Records, id: str, now: float = 1002.0) -> Trial:
    trial = records.claim(id, now, LEASE, "worker-1")
    assert isinstance(trial, Trial)
    return trial


def ended(records: Records, trial: Trial, now: float = 1010.0, **changes: Any) -> None:
    taken = claimed(records, trial.id, now - 8.0)
    assert records.finish(trial.id, taken.attempt, now, {"state": "finished", **changes})


def states(records: Records, job: Job) -> list[str]:
    return [trial.state for trial in records.trial_rows(job.id)]


def waiting(records: Records) -> set[str]:
    return {wake.id for wake in records.republish("cpu", 100, 9e9, 9e9)}


# --- the job, its study, the queue


def test_a_search_is_stored_with_its_study_which_waits_in_its_place(records: Records, job: Job) -> None:
    study = study_now(records, job)
    assert (study.id, study.state, study.news, study.job) == (study_of(job.id), "due", 0, job.id)
    assert records.claim(job.id, 1001.0, LEASE) is None, "a job that searches is never leased"
    assert records.reap(1001.0, LOOK).waiting["cpu"] == 1
    assert records.republish("cpu", 9, 1100.0, 1050.0) == [Wake(queue="cpu", id=study.id)]


def test_a_search_that_another_service_has_finished_waits_for_nobody(records: Records, model: Upload) -> None:
    over = a_job(model, searches=True, state="succeeded", finished_at=1001.0)
    trials = [a_trial(over, number, state="finished", result={"size_bytes": 7}) for number in range(2)]
    records.add_job(over, None, trials)
    assert study_now(records, over).state == "closed"
    assert records.trial_rows(over.id) == trials
    assert records.waiting_searches([over.id]) == waiting(records) == set()
    records.delete_job("local", over.id)
    assert records.trial_rows(over.id) == []


def test_other_jobs_have_no_study(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model), None)
    assert records.study(job.id) is None
    assert records.trial_rows(job.id) == []
    assert records.trial(job.id, 0) is None


def test_a_queued_search_has_its_position(records: Records, model: Upload, job: Job) -> None:
    later, _ = records.add_job(a_job(model, created_at=1001.0), None)
    assert records.queue_positions([job.id, later.id]) == {job.id: 1, later.id: 2}
    records.claim(study_of(job.id), 1002.0, LEASE)
    assert (records.queue_position(job.id), records.queue_position(later.id)) == (None, 1)


def test_the_first_turn_sets_the_job_running_once(records: Records, job: Job) -> None:
    begun(records, job, 0)
    running = job_of(records, job)
    assert (running.state, running.attempt, running.started_at) == ("running", 1, 1001.0)
    assert running.lease_until is None
    events = records.events(job.id, 0, 100)
    assert [event.values["state"] for event in events] == ["queued", "running"]


def test_a_study_is_had_by_one_and_only_while_it_is_due(records: Records, job: Job) -> None:
    study = records.claim(study_of(job.id), 1001.0, LEASE)
    assert study is not None
    assert records.claim(study.id, 1002.0, LEASE) is None
    assert [item.id for item in records.held()] == [study.id]
    assert records.settle(study.id, study.attempt, 1003.0, 0, Decision())
    assert study_now(records, job).state == "idle"
    assert records.held() == []
    assert records.claim(study.id, 1004.0, LEASE) is None
    assert waiting(records) == set()


# --- a turn


def test_trials_that_were_added_wait_for_workers(records: Records, job: Job) -> None:
    first, second = begun(records, job, intermediate=[[0, 0.5]], params={"a.b": [1, "ü", None]})
    assert records.trial_rows(job.id) == [first, second]
    assert records.trial(job.id, 1) == second
    assert records.trial(job.id, 2) is None
    assert waiting(records) == {first.id, second.id}
    assert records.reap(1100.0, LOOK).waiting["cpu"] == 2


def test_a_turn_changes_trials_job_and_log_together(records: Records, job: Job) -> None:
    first, second = begun(records, job)
    ended(records, first)
    event = Event(job="job_wrong", attempt=9, time=1011.0, type="log", message="kept", values={"x": 1})
    assert turn(
        records,
        job,
        1011.0,
        add=[a_trial(job, 2)],
        change={first.id: {"result": {"meets": True}}, second.id: {"state": "stopped_early"}},
        job={"state": "running", "progress": 0.5, "seconds_left": 7},
        events=[event],
    )
    assert states(records, job) == ["finished", "stopped_early", "waiting"]
    assert records.trial_rows(job.id)[0].result == {"meets": True}
    stored = job_of(records, job)
    assert (stored.progress, stored.seconds_left, stored.state) == (0.5, 7, "running")
    logged = records.events(job.id, 0, 100)
    assert (logged[-1].job, logged[-1].attempt, logged[-1].message) == (job.id, 1, "kept")
    assert [e.values["state"] for e in logged if e.type == "state"] == ["queued", "running"]


def test_what_was_decided_before_news_came_is_dropped_and_the_study_stays_due(
    records: Records, job: Job
) -> None:
    """A decision rests on the rows that were read: where a trial has ended since, it is made again."""
    first, second = begun(records, job)
    ended(records, first)
    study = records.claim(study_of(job.id), 1011.0, LEASE)
    assert isinstance(study, Study)
    ended(records, second, 1012.0)
    stop = {second.id: {"state": "stopped_early"}}
    new, end = [a_trial(job, 2)], {"state": "succeeded"}
    assert not records.settle(
        study.id, study.attempt, 1013.0, study.news, Decision(add=new, change=stop, job=end)
    )
    assert states(records, job) == ["finished", "finished"]
    assert job_of(records, job).state == "running"
    late = study_now(records, job)
    assert (late.state, late.lease_until, late.news) == ("due", None, 2)
    assert turn(records, job, 1014.0, add=new)
    assert study_now(records, job).state == "idle"


def test_who_holds_an_older_attempt_of_a_study_can_settle_nothing(records: Records, job: Job) -> None:
    assert records.claim(study_of(job.id), 1000.0, LEASE)
    again = records.claim(study_of(job.id), 1030.0, LEASE)
    assert again is not None
    before = study_now(records, job), job_of(records, job), records.events(job.id, 0, 100)
    event = Event(job=job.id, attempt=1, time=1031.0, type="log", message="from the past")
    late = {"add": [a_trial(job)], "job": {"state": "failed"}, "events": [event]}
    assert not records.settle(again.id, 1, 1031.0, 0, Decision(**late))  # type: ignore[arg-type]
    assert (study_now(records, job), job_of(records, job), records.events(job.id, 0, 100)) == before
    assert records.trial_rows(job.id) == []
    assert records.settle(again.id, 2, 1031.0, 0, Decision())
    assert not records.settle(again.id, 2, 1031.0, 0, Decision())


def test_only_a_study_settles(records: Records, job: Job, model: Upload) -> None:
    (trial,) = begun(records, job, 1)
    taken = claimed(records, trial.id)
    assert not records.settle(trial.id, taken.attempt, 1003.0, 0, Decision())
    assert not records.settle("stu_none", 1, 1003.0, 0, Decision())


def test_no_number_is_given_twice(records: Records, job: Job) -> None:
    first, _ = begun(records, job)
    ended(records, first)
    twice = [a_trial(job, 2), a_trial(job, 1, id="trl_another")]
    with pytest.raises(Conflict):
        turn(records, job, 1011.0, add=twice)
    assert len(records.trial_rows(job.id)) == 2, "nothing of it is stored"
    assert study_now(records, job).lease_until is not None, "and the turn goes on"


def test_a_trial_needs_an_id_of_its_own_kind(records: Records, job: Job) -> None:
    with pytest.raises(ValueError, match="trl_"):
        turn(records, job, add=[a_trial(job, id="job_a")])


def test_a_turn_that_goes_well_gives_a_study_its_attempts_back(records: Records, job: Job) -> None:
    trials = begun(records, job, 8)
    for n, trial in enumerate(trials):
        ended(records, trial, 1010.0 + n)
        for _ in range(2):
            study = records.claim(study_of(job.id), 1020.0, LEASE)
            assert study is not None
            assert records.release(study.id, study.attempt, 1020.0)
        assert turn(records, job, 1020.0)
    assert job_of(records, job).state == "running"


def test_it_is_known_which_searches_wait_and_since_when(records: Records, model: Upload, job: Job) -> None:
    """By the last of what waits: a turn, trials that were added, set back, or given back."""
    other, _ = records.add_job(a_job(model), None)
    both = [job.id, other.id]
    assert records.waiting_searches(both) == {job.id}, "only searches are asked for"
    first, second = begun(records, job)
    assert (records.waiting_searches(both), job_of(records, job).queued_at) == ({job.id}, 1001.0)
    claimed(records, first.id)
    taken = claimed(records, second.id)
    assert records.waiting_searches(both) == frozenset()
    assert records.release(second.id, taken.attempt, 1020.0)
    assert (records.waiting_searches(both), job_of(records, job).queued_at) == ({job.id}, 1020.0)
    claimed(records, second.id, 1021.0)
    assert records.finish(first.id, 1, 1030.0, {"state": "finished"})
    assert (records.waiting_searches(both), job_of(records, job).queued_at) == ({job.id}, 1030.0)
    assert turn(records, job, 1040.0, change={first.id: {"state": "waiting", "rung": 1}})
    assert (records.waiting_searches(both), job_of(records, job).queued_at) == ({job.id}, 1040.0)
    assert records.waiting_searches([]) == records.waiting_searches([other.id]) == frozenset()


# --- a trial


def test_a_trial_is_run_and_its_end_makes_the_study_due(records: Records, job: Job) -> None:
    first, _ = begun(records, job)
    taken = claimed(records, first.id, 1002.0)
    assert (taken.state, taken.attempt, taken.worker, taken.started_at) == ("running", 1, "worker-1", 1002.0)
    assert records.claim(first.id, 1003.0, LEASE) is None
    assert study_now(records, job).news == 0, "a claim is no news"
    made = {
        "result": {"size_bytes": 7, "metrics": {"top1": {"drop": 0.1}}},
        "artifact_sha256": "c" * 64,
        "artifact_bytes": 2**33,
        "report_sha256": "d" * 64,
        "graph_sha256": "e" * 64,
    }
    assert records.finish(first.id, 1, 1010.0, {"state": "finished", **made})
    stored = records.trial_rows(job.id)[0]
    assert {name: getattr(stored, name) for name in made} == made
    assert (stored.state, stored.lease_until, stored.seconds) == ("finished", None, 8.0)
    study = study_now(records, job)
    assert (study.state, study.news) == ("due", 1)
    assert waiting(records) == {study.id, job_trial(job, 1)}


def job_trial(job: Job, number: int) -> str:
    return a_trial(job, number).id


@pytest.mark.parametrize("state", ["finished", "failed", "stopped_early"])
def test_every_end_is_news_exactly_once(records: Records, job: Job, state: str) -> None:
    first, second = begun(records, job)
    for news, trial in enumerate((first, second), 1):
        taken = claimed(records, trial.id)
        assert records.finish(trial.id, taken.attempt, 1010.0, {"state": state})
        assert not records.finish(trial.id, taken.attempt, 1010.0, {"state": state})
        assert not records.release(trial.id, taken.attempt, 1010.0)
        assert study_now(records, job).news == news
    assert turn(records, job, 1011.0)
    study = study_now(records, job)
    assert (study.state, study.news) == ("idle", 2)


def test_news_during_a_turn_makes_the_study_due_once_more(records: Records, job: Job) -> None:
    first, second = begun(records, job)
    ended(records, first)
    study = records.claim(study_of(job.id), 1011.0, LEASE)
    assert isinstance(study, Study)
    ended(records, second, 1012.0)
    assert records.claim(study.id, 1013.0, LEASE) is None, "one turn at a time"
    records.settle(study.id, study.attempt, 1013.0, study.news, Decision())
    assert turn(records, job, 1014.0)
    assert study_now(records, job).state == "idle"


@pytest.mark.parametrize("state", [None, "running", "waiting", "succeeded", "ready", "closed"])
def test_the_end_of_a_trial_has_to_be_one(records: Records, job: Job, state: str | None) -> None:
    first, _ = begun(records, job)
    claimed(records, first.id)
    with pytest.raises(ValueError, match="no final state"):
        records.finish(first.id, 1, 1003.0, {"state": state} if state else {})


def test_who_holds_an_older_attempt_of_a_trial_can_change_nothing(records: Records, job: Job) -> None:
    first, _ = begun(records, job)
    claimed(records, first.id, 1002.0)
    claimed(records, first.id, 1032.0)
    before = records.trial_rows(job.id), study_now(records, job), records.events(job.id, 0, 100)
    event = Event(job=job.id, attempt=1, time=1031.0, type="log", message="from the past")
    assert not records.renew(first.id, 1, 1033.0, LEASE)
    assert not records.report(first.id, 1, step=None, progress=0.9, seconds_left=1, events=[event])
    assert not records.finish(first.id, 1, 1033.0, {"state": "finished"})
    assert not records.finish(first.id, 1, 1033.0, {"state": "finished"}, {"state": "succeeded"})
    assert not records.release(first.id, 1, 1033.0)
    assert records.cancel_requested(first.id, 1)
    assert (records.trial_rows(job.id), study_now(records, job), records.events(job.id, 0, 100)) == before
    assert not records.cancel_requested(first.id, 2)


def test_what_a_trial_reports_stands_in_the_log_of_its_job(records: Records, job: Job) -> None:
    _, second = begun(records, job)
    taken = claimed(records, second.id)
    event = Event(job="job_wrong", attempt=9, time=1003.0, type="progress", message="half", values={"x": 1})
    assert records.report(second.id, taken.attempt, step={}, progress=0.5, seconds_left=3, events=[event])
    last = records.events(job.id, 0, 100)[-1]
    assert (last.job, last.attempt, last.message, last.values) == (
        job.id,
        1,
        "Trial 1: half",
        {"x": 1, "trial": 1},
    )
    assert job_of(records, job).progress == 0.0, "the study knows how far the search is"


def test_a_trial_that_is_given_back_waits_again_without_news(records: Records, job: Job) -> None:
    first, _ = begun(records, job, max_attempts=1)
    for attempt in (1, 2, 3):
        claimed(records, first.id, 1000.0 + attempt)
        assert records.release(first.id, attempt, 1001.0 + attempt, blame=False)
    stored = records.trial_rows(job.id)[0]
    assert (stored.state, stored.lease_until, stored.worker) == ("waiting", None, "worker-1")
    assert stored.started_at == 1003.0
    assert study_now(records, job).news == 0
    claimed(records, first.id, 1010.0)
    assert records.release(first.id, 4, 1011.0)
    assert states(records, job)[0] == "failed"


def test_a_trial_whose_attempts_are_spent_fails_and_is_news(records: Records, job: Job) -> None:
    first, second = begun(records, job, max_attempts=2)
    for attempt in (1, 2):
        claimed(records, first.id, 1002.0)
        assert records.release(first.id, attempt, 1003.0)
    failed = records.trial_rows(job.id)[0]
    assert failed.state == "failed"
    assert failed.problem is not None
    assert failed.problem["code"] == "worker_lost"
    assert (study_now(records, job).state, study_now(records, job).news) == ("due", 1)
    assert job_of(records, job).state == "running", "a failed trial is a result"
    assert waiting(records) == {study_of(job.id), second.id}


def test_a_trial_is_tried_longer_and_its_seconds_add_up(records: Records, job: Job) -> None:
    """Each rung has attempts of its own: an earlier one, whatever it took, does not count against it."""
    (trial,) = begun(records, job, 1, max_attempts=1)
    ended(records, trial, 1010.0, intermediate=[[0, 0.5]])
    again = {"state": "waiting", "rung": 1, "share": 1.0}
    assert turn(records, job, 1011.0, change={trial.id: again}, more_attempts=1)
    (waits,) = records.trial_rows(job.id)
    assert (waits.state, waits.rung, waits.share, waits.intermediate) == ("waiting", 1, 1.0, [[0, 0.5]])
    assert waiting(records) == {trial.id}
    ended(records, trial, 1030.0)
    (stored,) = records.trial_rows(job.id)
    assert (stored.state, stored.seconds, stored.attempt) == ("finished", 16.0, 2)


def test_a_trial_that_was_claimed_since_is_asked_to_stop(records: Records, job: Job) -> None:
    """A claim is no news: a study may decide on a trial that it saw waiting."""
    first, second = begun(records, job)
    ended(records, first)
    taken = claimed(records, second.id)
    assert turn(records, job, 1011.0, change={second.id: {"state": "stopped_early", "deadline": 1.0}})
    stored = records.trial_rows(job.id)[1]
    assert (stored.state, stored.cancel_requested, stored.deadline) == ("running", True, 1.0)
    assert records.cancel_requested(second.id, taken.attempt)
    assert records.finish(second.id, taken.attempt, 1012.0, {"state": "stopped_early"})
    assert study_now(records, job).news == 2


def test_a_trial_that_was_asked_to_stop_may_still_finish(records: Records, job: Job) -> None:
    first, _ = begun(records, job)
    taken = claimed(records, first.id)
    records.cancel_job("local", job.id, 1003.0)
    assert records.finish(first.id, taken.attempt, 1004.0, {"state": "finished"})
    assert states(records, job) == ["finished", "stopped_early"]


# --- the reaper


def test_a_lost_trial_waits_again_until_it_is_given_up(records: Records, job: Job) -> None:
    first, _ = begun(records, job, max_attempts=2)
    claimed(records, first.id, 1002.0)
    assert records.reap(1031.0, LOOK).released == []
    assert records.reap(1032.0, LOOK).released == [Wake(queue="cpu", id=first.id)]
    assert study_now(records, job).news == 0
    claimed(records, first.id, 1033.0)
    assert records.reap(1063.0, LOOK).released == [Wake(queue="cpu", id=study_of(job.id))]
    assert (states(records, job), study_now(records, job).news) == (["failed", "waiting"], 1)
    assert records.reap(1063.0, LOOK).released == []


def test_many_lost_trials_are_published_once_and_their_study_once(records: Records, job: Job) -> None:
    trials = begun(records, job, 4)
    for trial in trials:
        records.claim(trial.id, 1002.0, LEASE)
    records.cancel_job("local", job.id, 1003.0)
    assert records.reap(1032.0, LOOK).released == [Wake(queue="cpu", id=study_of(job.id))]
    assert states(records, job) == ["stopped_early"] * 4
    assert study_now(records, job).news == 5


def test_a_lost_study_waits_again(records: Records, job: Job) -> None:
    study = records.claim(study_of(job.id), 1000.0, LEASE)
    assert study is not None
    assert records.reap(1030.0, LOOK).released == [Wake(queue="cpu", id=study.id)]
    assert not records.settle(study.id, 1, 1031.0, 0, Decision(add=[a_trial(job)]))
    assert turn(records, job, 1032.0, add=[a_trial(job)])


@pytest.mark.parametrize("reaped", [True, False])
def test_a_study_that_ends_every_worker_fails_its_job(records: Records, model: Upload, reaped: bool) -> None:
    job, _ = records.add_job(a_job(model, searches=True, max_attempts=1), None)
    assert turn(records, job, add=[a_trial(job, n) for n in range(3)], more_attempts=1)
    first, second, third = records.trial_rows(job.id)
    ended(records, first)
    taken = claimed(records, second.id, 1011.0)
    study = records.claim(study_of(job.id), 1011.0, 5.0)
    assert study is not None
    if reaped:
        assert records.reap(1020.0, LOOK).released == []
    else:
        assert records.release(study.id, study.attempt, 1020.0)
    failed = job_of(records, job)
    assert (failed.state, failed.finished_at) == ("failed", 1020.0)
    assert failed.problem is not None
    assert failed.problem["code"] == "worker_lost"
    assert "The search's worker" in failed.problem["detail"]
    assert records.events(job.id, 0, 100)[-1].values == {"state": "failed"}
    assert study_now(records, job).state == "closed"
    assert states(records, job) == ["finished", "running", "stopped_early"]
    assert records.cancel_requested(second.id, taken.attempt)
    assert records.finish(second.id, taken.attempt, 1021.0, {"state": "stopped_early"})
    assert study_now(records, job).state == "closed", "nobody waits for its trials any more"
    assert records.claim(third.id, 1022.0, LEASE) is None
    assert waiting(records) == set()


def test_the_reaper_gives_up_a_study_and_its_lost_trials_together(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model, searches=True, max_attempts=1), None)
    assert turn(records, job, add=[a_trial(job, n) for n in range(3)], more_attempts=1)
    first, second, _ = records.trial_rows(job.id)
    ended(records, first)
    records.claim(second.id, 1011.0, LEASE)
    records.claim(study_of(job.id), 1011.0, LEASE)
    assert records.reap(1050.0, LOOK).released == []
    assert states(records, job) == ["finished", "stopped_early", "stopped_early"]
    assert (job_of(records, job).state, records.held()) == ("failed", [])


def test_of_many_reapers_one_gives_up_a_search(records: Records, job: Job) -> None:
    trials = begun(records, job, 6, max_attempts=1)
    for trial in trials:
        records.claim(trial.id, 1002.0, LEASE)
    with ThreadPoolExecutor(8) as pool:
        reaped = list(pool.map(lambda _: records.reap(2000.0, LOOK), range(8)))
    assert [wake.id for r in reaped for wake in r.released] == [study_of(job.id)]
    assert study_now(records, job).news == 6


# --- the end of the job


def test_a_study_finishes_its_job_and_is_closed(records: Records, job: Job) -> None:
    first, second = begun(records, job)
    ended(records, first)
    end = {"state": "succeeded", "outcome": "accepted", "artifact_sha256": "c" * 64, "artifact_bytes": 7}
    assert turn(records, job, 1011.0, job=end)
    stored = job_of(records, job)
    assert {name: getattr(stored, name) for name in end} == end
    assert (stored.finished_at, stored.progress, stored.seconds_left) == (1011.0, 1.0, None)
    assert records.events(job.id, 0, 100)[-1].values == {"state": "succeeded"}
    assert study_now(records, job).state == "closed"
    assert states(records, job) == ["finished", "stopped_early"]
    assert records.claim(study_of(job.id), 1012.0, LEASE) is None
    assert records.claim(second.id, 1012.0, LEASE) is None
    assert records.held() == []


def test_a_final_finishes_the_job_with_itself(records: Records, job: Job) -> None:
    (trial,) = begun(records, job, 1)
    ended(records, trial)
    final = a_trial(job, 1, role="final", recipe=None, candidates=[0])
    assert turn(records, job, 1011.0, add=[final])
    taken = claimed(records, final.id, 1012.0)
    assert (taken.role, taken.candidates, taken.recipe) == ("final", [0], None)
    end = {"state": "succeeded", "outcome": "unchecked", "report_sha256": "d" * 64}
    assert records.finish(final.id, taken.attempt, 1015.0, {"state": "finished"}, end)
    stored = job_of(records, job)
    assert (stored.state, stored.outcome, stored.finished_at) == ("succeeded", "unchecked", 1015.0)
    study = study_now(records, job)
    assert (study.state, study.news) == ("closed", 1)
    assert states(records, job) == ["finished", "finished"]
    assert records.trial_counts([job.id]) == {job.id: {"finished": 1}}, "a final is no trial"


def test_a_final_does_not_succeed_once_cancelling_was_asked(records: Records, job: Job) -> None:
    final = a_trial(job, role="final")
    assert turn(records, job, add=[final])
    taken = claimed(records, final.id)
    records.cancel_job("local", job.id, 1003.0)
    assert not records.finish(final.id, taken.attempt, 1004.0, {"state": "finished"}, {"state": "succeeded"})
    assert (job_of(records, job).state, states(records, job)) == ("cancelling", ["running"])
    assert records.finish(final.id, taken.attempt, 1004.0, {"state": "stopped_early"})
    assert turn(records, job, 1005.0, job={"state": "cancelled"})


def test_a_final_that_fails_leaves_the_job_to_its_study(records: Records, job: Job) -> None:
    final = a_trial(job, role="final")
    assert turn(records, job, add=[final])
    taken = claimed(records, final.id)
    assert records.finish(final.id, taken.attempt, 1004.0, {"state": "failed", "problem": {"code": "x"}})
    assert (job_of(records, job).state, study_now(records, job).state) == ("running", "due")


def test_a_job_that_was_finished_by_its_final_is_settled_no_more(records: Records, job: Job) -> None:
    """The final ends while a turn is at work that some other trial made due."""
    first, second = begun(records, job)
    ended(records, first)
    assert turn(records, job, 1011.0, add=[a_trial(job, 2, role="final")])
    ended(records, second, 1012.0)
    study = records.claim(study_of(job.id), 1013.0, LEASE)
    assert isinstance(study, Study)
    final = claimed(records, a_trial(job, 2).id, 1013.0)
    assert records.finish(final.id, final.attempt, 1014.0, {"state": "finished"}, {"state": "succeeded"})
    assert not records.settle(study.id, study.attempt, 1015.0, study.news, Decision(job={"state": "failed"}))
    assert job_of(records, job).state == "succeeded"


# --- cancel, retry, delete


def test_a_queued_search_is_cancelled_at_once(records: Records, job: Job) -> None:
    cancelled = records.cancel_job("local", job.id, 1001.0)
    assert cancelled is not None
    assert (cancelled.state, cancelled.finished_at) == ("cancelled", 1001.0)
    assert study_now(records, job).state == "closed"
    assert waiting(records) == set()


def test_a_running_search_is_cancelled_by_its_study(records: Records, job: Job) -> None:
    first, second, third = begun(records, job, 3)
    ended(records, first, artifact_sha256="c" * 64)
    taken = claimed(records, second.id)
    cancelling = records.cancel_job("local", job.id, 1020.0)
    assert cancelling is not None
    assert cancelling.state == "cancelling"
    assert records.cancel_job("local", job.id, 1021.0) == cancelling
    assert states(records, job) == ["finished", "running", "stopped_early"]
    assert records.cancel_requested(second.id, taken.attempt)
    assert records.claim(third.id, 1022.0, LEASE) is None
    study = study_now(records, job)
    assert (study.state, study.news) == ("due", 2)
    assert records.release(second.id, taken.attempt, 1023.0), (
        "a worker that died is as good as one that stopped"
    )
    assert states(records, job)[1] == "stopped_early"
    assert turn(records, job, 1024.0, job={"state": "cancelled", "artifact_sha256": "c" * 64})
    stored = job_of(records, job)
    assert (stored.state, stored.outcome, stored.artifact_sha256) == ("cancelled", None, "c" * 64)


def test_a_search_does_not_succeed_once_it_was_cancelled(records: Records, job: Job) -> None:
    begun(records, job)
    records.cancel_job("local", job.id, 1002.0)
    with pytest.raises(ValueError, match="cancelling"):
        turn(records, job, 1003.0, job={"state": "succeeded"})
    assert job_of(records, job).state == "cancelling"


def test_a_turn_that_did_not_hear_of_the_cancel_adds_nothing(records: Records, job: Job) -> None:
    study = records.claim(study_of(job.id), 1001.0, LEASE)
    assert isinstance(study, Study)
    records.cancel_job("local", job.id, 1002.0)
    assert not records.settle(study.id, study.attempt, 1003.0, study.news, Decision(add=[a_trial(job)]))
    assert records.trial_rows(job.id) == []
    assert turn(records, job, 1004.0, job={"state": "cancelled"})


def test_a_search_that_was_retried_goes_on_with_its_trials(records: Records, job: Job) -> None:
    first, second = begun(records, job)
    ended(records, first, result={"size_bytes": 7})
    records.cancel_job("local", job.id, 1011.0)
    assert turn(records, job, 1012.0, job={"state": "cancelled"})
    retried = records.retry_job("local", job.id, 1013.0, 2)
    assert retried is not None
    assert (retried.state, retried.cancel_requested, retried.attempt) == ("queued", False, 1)
    assert states(records, job) == ["finished", "stopped_early"]
    assert waiting(records) == {study_of(job.id)}
    again = {second.id: {"state": "waiting"}}
    assert turn(records, job, 1014.0, change=again)
    assert (job_of(records, job).state, job_of(records, job).attempt) == ("running", 2)
    ended(records, second, 1030.0)
    assert states(records, job) == ["finished", "finished"]


def test_a_retry_fences_what_is_left_of_the_run_before(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model, searches=True, max_attempts=1), None)
    assert turn(records, job, add=[a_trial(job)], more_attempts=1)
    running = claimed(records, a_trial(job).id)
    records.cancel_job("local", job.id, 1003.0)
    study = records.claim(study_of(job.id), 1003.0, LEASE)
    assert study is not None
    assert records.release(study.id, study.attempt, 1004.0), "the job has failed"
    assert records.retry_job("local", job.id, 1005.0, 1)
    assert not records.settle(study.id, study.attempt, 1006.0, 9, Decision(job={"state": "cancelled"}))
    assert records.finish(running.id, running.attempt, 1007.0, {"state": "stopped_early"})
    assert turn(records, job, 1008.0)
    assert job_of(records, job).state == "running"


def test_a_deleted_search_takes_study_and_trials_along(records: Records, job: Job, model: Upload) -> None:
    other, _ = records.add_job(a_job(model, searches=True), None)
    begun(records, other, 1)
    first, second = begun(records, job)
    ended(records, first, artifact_sha256="c" * 64, report_sha256="d" * 64)
    assert {"c" * 64, "d" * 64} <= records.live_blobs()
    with pytest.raises(Conflict):
        records.delete_job("local", job.id)
    taken = claimed(records, second.id)
    assert turn(records, job, 1011.0, job={"state": "failed"})
    assert records.delete_job("local", job.id)
    assert (records.study(job.id), records.trial_rows(job.id)) == (None, [])
    assert not records.finish(second.id, taken.attempt, 1012.0, {"state": "finished"})
    assert records.cancel_requested(second.id, taken.attempt)
    assert records.held() == []
    assert not {"c" * 64, "d" * 64} & records.live_blobs()
    assert len(records.trial_rows(other.id)) == 1


# --- counts


def test_trials_are_counted_by_job_and_state(records: Records, job: Job, model: Upload) -> None:
    other, _ = records.add_job(a_job(model, searches=True), None)
    plain, _ = records.add_job(a_job(model), None)
    begun(records, other, 1)
    first, second, _ = begun(records, job, 3)
    ended(records, first)
    claimed(records, second.id)
    assert records.trial_counts([job.id, other.id, plain.id]) == {
        job.id: {"finished": 1, "running": 1, "waiting": 1},
        other.id: {"waiting": 1},
    }
    assert records.trial_counts([]) == {}


# --- many at once


def test_of_many_who_want_a_study_one_gets_it(records: Records, job: Job) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: records.claim(study_of(job.id), 1000.0, LEASE), range(16)))
    assert len([item for item in taken if item is not None]) == 1
    assert job_of(records, job).attempt == 1


def test_trials_that_end_at_once_are_each_news(records: Records, job: Job) -> None:
    trials = begun(records, job, 8)
    for trial in trials:
        claimed(records, trial.id)
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda t: records.finish(t.id, 1, 1010.0, {"state": "finished"}), trials)
    assert all(done)
    assert study_now(records, job).news == 8


def test_ends_turns_and_a_cancel_at_once_lose_nothing(records: Records, job: Job) -> None:
    """Whatever comes first, no two wait for each other for ever, and what is decided is decided on what is so."""
    trials = begun(records, job, 6)
    for trial in trials:
        claimed(records, trial.id)

    def decide(number: int) -> bool:
        study = records.claim(study_of(job.id), 1011.0, LEASE)
        if not isinstance(study, Study):
            return False
        new = [] if job_of(records, job).cancel_requested else [a_trial(job, number)]
        return records.settle(study.id, study.attempt, 1012.0, study.news, Decision(add=new)) and bool(new)

    with ThreadPoolExecutor(12) as pool:
        ends = [pool.submit(records.finish, t.id, 1, 1010.0, {"state": "finished"}) for t in trials]
        turns = [pool.submit(decide, number) for number in range(10, 16)]
        cancel = pool.submit(records.cancel_job, "local", job.id, 1011.0)
        reaps = [pool.submit(records.reap, 1011.0, LOOK) for _ in range(3)]
    assert all(end.result() for end in ends)
    assert cancel.result() is not None
    assert [reap.result().released for reap in reaps] == [[], [], []]
    decided = sum(decision.result() for decision in turns)
    assert states(records, job) == ["finished"] * 6 + ["stopped_early"] * decided
    study = study_now(records, job)
    assert (study.news, study.lease_until) == (7, None)
    assert study.state == "idle" or turn(records, job, 1013.0, job={"state": "cancelled"})


def test_what_is_handed_out_is_a_copy(records: Records, job: Job) -> None:
    begun(records, job, 1)
    (trial,) = records.trial_rows(job.id)
    trial.params["steps.0.amount"] = 0.9
    assert records.trial_rows(job.id) == [replace(trial, params={"steps.0.amount": 0.5})]
