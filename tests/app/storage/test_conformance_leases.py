"""The port `Leases`, as every store has to keep it. Time is what the caller says it is."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.storage.ports import Records
from app.storage.records import Event, Job, Reaped, Upload, Wake
from tests.support.records import a_job, an_upload

LOOK = 15.0
"""Seconds for which one look at a queue is enough."""


@pytest.fixture
def model(records: Records) -> Upload:
    return records.add_upload(an_upload())[0]


@pytest.fixture
def job(records: Records, model: Upload) -> Job:
    return records.add_job(a_job(model), None)[0]


def now_of(records: Records, job: Job) -> Job:
    found = records.job("local", job.id)
    assert found is not None
    return found


def test_a_claim_takes_the_lease_and_runs_the_job(records: Records, job: Job) -> None:
    claimed = records.claim(job.id, 1001.0, 30.0)
    assert isinstance(claimed, Job)
    assert (claimed.state, claimed.attempt, claimed.lease_until) == ("running", 1, 1031.0)
    assert claimed.started_at == 1001.0
    assert now_of(records, job) == claimed
    assert [item.id for item in records.held()] == [job.id]


@pytest.mark.parametrize(
    ("request_", "elsewhere", "taken"),
    [
        ({"target": "openvino-cpu"}, {"openvino-cpu"}, False),
        ({"target": "openvino-cpu"}, {"onnxruntime-cuda"}, True),
        ({"target": "openvino-cpu"}, set(), True),
        ({"target": "qnn"}, {"qnn"}, True),
        ({"target": "qnn"}, {"onnxruntime-cpu"}, False),
        ({"seed": 0}, {"onnxruntime-cpu"}, False),
        ({"seed": 0}, {"openvino-cpu"}, True),
    ],
)
def test_a_job_is_left_to_a_worker_that_has_its_target(
    request_: dict[str, object], elsewhere: set[str], taken: bool, records: Records, model: Upload
) -> None:
    """A job of before there were targets is for ONNX Runtime on the CPU."""
    job = records.add_job(a_job(model, request=request_), None)[0]
    claimed = records.claim(job.id, 1001.0, 30.0, elsewhere=elsewhere)
    assert (claimed is not None) == taken
    assert now_of(records, job).attempt == int(taken)
    assert records.claim(model.id, 1001.0, 30.0, elsewhere=elsewhere) is not None, (
        "an inspection is for everybody"
    )


def test_an_upload_is_claimed_and_stays_inspecting(records: Records, model: Upload) -> None:
    claimed = records.claim(model.id, 1001.0, 30.0)
    assert isinstance(claimed, Upload)
    assert (claimed.state, claimed.attempt, claimed.lease_until) == ("inspecting", 1, 1031.0)
    assert records.claim(model.id, 1002.0, 30.0) is None
    assert records.finish(model.id, 1, 1003.0, {"state": "ready", "facts": {"opset": 18}})
    ready = records.upload("local", "model", model.id)
    assert ready is not None
    assert (ready.state, ready.facts, ready.lease_until) == ("ready", {"opset": 18}, None)
    assert records.claim(model.id, 1004.0, 30.0) is None


def test_what_is_leased_cannot_be_claimed_before_the_lease_ends(records: Records, job: Job) -> None:
    assert records.claim(job.id, 1000.0, 30.0)
    assert records.claim(job.id, 1029.9, 30.0) is None
    again = records.claim(job.id, 1030.0, 30.0)
    assert again is not None
    assert again.attempt == 2


def test_what_is_not_there_cannot_be_claimed(records: Records) -> None:
    assert records.claim("job_none", 1.0, 30.0) is None
    assert records.claim("mdl_none", 1.0, 30.0) is None


def test_a_renewed_lease_lasts_longer(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    assert records.renew(job.id, 1, 1020.0, 30.0)
    assert records.claim(job.id, 1040.0, 30.0) is None
    assert records.claim(job.id, 1050.0, 30.0) is not None


def test_a_late_renewal_holds_as_long_as_nobody_else_took_it(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    assert records.renew(job.id, 1, 1031.0, 30.0)
    assert records.reap(1032.0, LOOK).released == []


def test_who_holds_an_older_attempt_can_change_nothing(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    records.claim(job.id, 1030.0, 30.0)
    before, events = now_of(records, job), records.events(job.id, 0, 100)
    event = Event(job=job.id, attempt=1, time=1031.0, type="log", message="from the past")
    assert not records.renew(job.id, 1, 1031.0, 30.0)
    assert not records.report(job.id, 1, step=None, progress=0.9, seconds_left=1, events=[event])
    assert not records.finish(job.id, 1, 1031.0, {"state": "succeeded"})
    assert not records.finish(job.id, 1, 1031.0, {"state": "failed"})
    assert not records.release(job.id, 1, 1031.0)
    assert records.cancel_requested(job.id, 1)
    assert (now_of(records, job), records.events(job.id, 0, 100)) == (before, events)
    assert not records.cancel_requested(job.id, 2)


def test_who_was_reaped_is_fenced_although_nobody_else_has_it_yet(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    records.reap(1030.0, LOOK)
    assert not records.renew(job.id, 1, 1031.0, 30.0)
    assert not records.finish(job.id, 1, 1031.0, {"state": "succeeded"})
    assert now_of(records, job).state == "queued"


def test_progress_is_reported_with_what_is_to_be_logged(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    step = {"index": 0, "kind": "int8_static", "progress": 0.5}
    event = Event(job="job_wrong", attempt=9, time=1001.0, type="progress", message="half", values={"x": [1]})
    assert records.report(job.id, 1, step=step, progress=0.25, seconds_left=7, events=[event])
    found = now_of(records, job)
    assert (found.step, found.progress, found.seconds_left) == (step, 0.25, 7)
    last = records.events(job.id, 0, 100)[-1]
    assert (last.job, last.attempt, last.message, last.values) == (job.id, 1, "half", {"x": [1]})


def test_a_job_that_is_being_cancelled_may_still_report(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    records.cancel_job("local", job.id, 1001.0)
    assert records.report(job.id, 1, step=None, progress=0.5, seconds_left=None)
    assert now_of(records, job).state == "cancelling"


def test_reporting_on_an_inspection_only_tells_whether_it_is_held(records: Records, model: Upload) -> None:
    records.claim(model.id, 1000.0, 30.0)
    assert records.report(model.id, 1, step=None, progress=0.5, seconds_left=None)
    assert not records.report(model.id, 2, step=None, progress=0.5, seconds_left=None)


def test_an_end_sets_what_it_names_and_gives_the_lease_up(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    asked = [
        {
            "name": "min_speedup",
            "asked": 1.5,
            "measured": 2.0,
            "interval": [1.9, 2.1],
            "met": True,
            "why": None,
        }
    ]
    result = {
        "outcome": "accepted",
        "requirements": asked,
        "artifact_sha256": "c" * 64,
        "artifact_bytes": 2**33,
        "curves_sha256": "e" * 64,
        "curves_bytes": 2**34,
    }
    assert records.finish(job.id, 1, 1005.0, {"state": "succeeded", **result})
    done = now_of(records, job)
    assert {name: getattr(done, name) for name in result} == result
    assert (done.state, done.lease_until, done.finished_at) == ("succeeded", None, 1005.0)
    assert (done.progress, done.seconds_left) == (1.0, None)
    assert records.held() == []
    assert records.events(job.id, 0, 100)[-1].values == {"state": "succeeded"}


def test_nothing_ends_twice(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    assert records.finish(job.id, 1, 1005.0, {"state": "succeeded"})
    assert not records.finish(job.id, 1, 1006.0, {"state": "failed"})
    assert records.claim(job.id, 2000.0, 30.0) is None
    assert records.reap(9000.0, LOOK) == Reaped(waiting={"inspect": 1, "cpu": 0})
    assert now_of(records, job).state == "succeeded"


def test_success_is_refused_once_cancelling_was_asked(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    records.cancel_job("local", job.id, 1001.0)
    assert not records.finish(job.id, 1, 1002.0, {"state": "succeeded"})
    assert now_of(records, job).state == "cancelling"
    assert records.release(job.id, 1, 1003.0)
    assert now_of(records, job).state == "cancelled"


@pytest.mark.parametrize("state", [None, "queued", "running", "ready"])
def test_an_end_has_to_be_final(records: Records, job: Job, state: str | None) -> None:
    records.claim(job.id, 1000.0, 30.0)
    with pytest.raises(ValueError, match="no final state"):
        records.finish(job.id, 1, 1001.0, {"state": state} if state else {})


def test_what_is_given_back_waits_again(records: Records, job: Job, model: Upload) -> None:
    for id in (job.id, model.id):
        records.claim(id, 1000.0, 30.0)
        assert records.release(id, 1, 1001.0)
        assert not records.release(id, 1, 1001.0)
        again = records.claim(id, 1002.0, 30.0)
        assert again is not None
        assert again.attempt == 2


def test_attempts_that_are_spent_end_in_failure(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model, max_attempts=2), None)
    for attempt in (1, 2):
        assert records.claim(job.id, 1000.0, 30.0)
        assert records.release(job.id, attempt, 1001.0)
    failed = now_of(records, job)
    assert failed.state == "failed"
    assert failed.problem is not None
    assert failed.problem["code"] == "worker_lost"
    assert failed.finished_at == 1001.0
    assert records.claim(job.id, 1002.0, 30.0) is None


def test_a_worker_that_is_shut_down_costs_no_attempt(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model, max_attempts=1), None)
    for attempt in (1, 2, 3):
        assert records.claim(job.id, 1000.0, 30.0)
        assert records.release(job.id, attempt, 1001.0, blame=False)
    assert (now_of(records, job).state, now_of(records, job).attempt) == ("queued", 3)
    assert records.claim(job.id, 1002.0, 30.0)
    assert records.release(job.id, 4, 1003.0)
    assert now_of(records, job).state == "failed"


def test_an_inspection_whose_attempts_are_spent_is_rejected(records: Records) -> None:
    poison, _ = records.add_upload(an_upload(max_attempts=1))
    records.claim(poison.id, 1000.0, 30.0)
    assert records.reap(1030.0, LOOK).released == []
    rejected = records.upload("local", "model", poison.id)
    assert rejected is not None
    assert rejected.state == "rejected"
    assert rejected.problem is not None
    assert rejected.problem["code"] == "worker_lost"


def test_a_deleted_upload_fences_who_inspects_it(records: Records, model: Upload) -> None:
    records.claim(model.id, 1000.0, 30.0)
    assert records.delete_upload("local", "model", model.id)
    assert not records.renew(model.id, 1, 1001.0, 30.0)
    assert not records.finish(model.id, 1, 1001.0, {"state": "ready"})
    assert records.cancel_requested(model.id, 1)


def test_reaping_gives_expired_leases_back_and_names_what_to_publish(
    records: Records, job: Job, model: Upload
) -> None:
    records.claim(job.id, 1000.0, 30.0)
    records.claim(model.id, 1000.0, 30.0)
    assert records.reap(1029.0, LOOK).released == []
    released = records.reap(1030.0, LOOK).released
    assert set(released) == {Wake(queue="cpu", id=job.id), Wake(queue="inspect", id=model.id)}
    assert records.held() == []
    assert records.reap(1030.0, LOOK).released == []


def test_reaping_ends_a_job_whose_cancelling_worker_died(records: Records, job: Job) -> None:
    records.claim(job.id, 1000.0, 30.0)
    records.cancel_job("local", job.id, 1001.0)
    assert records.reap(1030.0, LOOK).released == []
    assert now_of(records, job).state == "cancelled"


def test_what_waits_is_counted_for_one_reaper_in_a_while(records: Records, model: Upload, job: Job) -> None:
    records.add_job(a_job(model), None)
    assert records.reap(1000.0, LOOK).waiting == {"inspect": 1, "cpu": 2}
    assert records.reap(1014.0, LOOK).waiting == {}
    assert records.reap(1015.0, LOOK).waiting == {"inspect": 1, "cpu": 2}
    records.claim(job.id, 1015.0, 30.0)
    records.finish(model.id, records.claim(model.id, 1015.0, 30.0).attempt, 1016.0, {"state": "ready"})  # type: ignore[union-attr]
    assert records.reap(1030.0, LOOK).waiting == {"inspect": 0, "cpu": 1}
    assert records.reap(500.0, LOOK).waiting == {"inspect": 0, "cpu": 1}, "the clock was set back"


def test_what_was_published_longest_ago_is_published_again_first(records: Records, model: Upload) -> None:
    jobs = [records.add_job(a_job(model, created_at=1000.0 + n), None)[0] for n in range(4)]
    wakes = [Wake(queue="cpu", id=job.id) for job in jobs]
    assert records.republish("cpu", 2, 1060.0, 999.0) == []
    assert records.republish("cpu", 2, 1060.0, 1000.0) == wakes[:1]
    assert records.republish("cpu", 2, 1061.0, 1003.0) == wakes[1:3]
    assert records.republish("cpu", 9, 1062.0, 1003.0) == wakes[3:]
    assert records.republish("cpu", 9, 1063.0, 1003.0) == []
    assert records.republish("cpu", 3, 1200.0, 1100.0) == wakes[:3]
    assert records.republish("inspect", 9, 1200.0, 1100.0) == [Wake(queue="inspect", id=model.id)]


def test_what_is_held_or_over_is_not_published(records: Records, model: Upload) -> None:
    running, over = (records.add_job(a_job(model), None)[0] for _ in range(2))
    records.claim(running.id, 2000.0, 300.0)
    records.claim(model.id, 2000.0, 300.0)
    records.cancel_job("local", over.id, 2000.0)
    assert records.reap(2100.0, LOOK) == Reaped(waiting={"inspect": 0, "cpu": 0})
    assert [records.republish(queue, 9, 2100.0, 2100.0) for queue in ("inspect", "cpu")] == [[], []]


def test_what_was_given_back_counts_as_just_published(records: Records, job: Job) -> None:
    records.claim(job.id, 2000.0, 30.0)
    assert records.release(job.id, 1, 2010.0)
    assert records.republish("cpu", 9, 2060.0, 2009.0) == []
    records.claim(job.id, 2060.0, 30.0)
    assert records.reap(2090.0, LOOK).released == [Wake(queue="cpu", id=job.id)]
    assert records.republish("cpu", 9, 2149.0, 2089.0) == []
    assert records.republish("cpu", 9, 2150.0, 2090.0) == [Wake(queue="cpu", id=job.id)]


def test_the_oldest_is_published_first(records: Records, model: Upload) -> None:
    jobs = [records.add_job(a_job(model, created_at=1000.0 - n), None)[0] for n in range(3)]
    wakes = [wake.id for wake in records.republish("cpu", 9, 2000.0, 1900.0)]
    assert wakes == [job.id for job in reversed(jobs)]


def test_one_of_many_threads_wins_a_claim(records: Records, job: Job) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: records.claim(job.id, 1000.0, 30.0), range(16)))
    assert len([item for item in claimed if item is not None]) == 1
    assert now_of(records, job).attempt == 1


def test_one_of_many_reapers_releases_and_one_looks_after_a_queue(records: Records, model: Upload) -> None:
    jobs = [records.add_job(a_job(model), None)[0] for _ in range(6)]
    for job in jobs[:3]:
        records.claim(job.id, 1000.0, 30.0)
    with ThreadPoolExecutor(8) as pool:
        reaped = list(pool.map(lambda _: records.reap(2000.0, LOOK), range(8)))
    assert sorted(w.id for r in reaped for w in r.released) == sorted(job.id for job in jobs[:3])
    assert sorted(queue for r in reaped for queue in r.waiting) == ["cpu", "inspect"]


def test_of_many_who_publish_again_each_takes_others(records: Records, model: Upload) -> None:
    jobs = [records.add_job(a_job(model), None)[0] for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: records.republish("cpu", 3, 2000.0, 1900.0), range(8))
    wakes = [wake.id for wakes in found for wake in wakes]
    assert len(wakes) == len(set(wakes))
    assert set(wakes) <= {job.id for job in jobs}


def test_success_and_cancelling_at_the_same_time_end_in_one_of_them(records: Records, model: Upload) -> None:
    for _ in range(10):
        job, _ = records.add_job(a_job(model), None)
        records.claim(job.id, 1000.0, 30.0)
        with ThreadPoolExecutor(2) as pool:
            finished = pool.submit(records.finish, job.id, 1, 1001.0, {"state": "succeeded"})
            asked = pool.submit(records.cancel_job, "local", job.id, 1001.0)
        state = now_of(records, job).state
        assert state == ("succeeded" if finished.result() else "cancelling")
        assert (asked.exception() is not None) == (state == "succeeded")
