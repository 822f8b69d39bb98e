"""The port `Jobs`, as every store has to keep it."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest

from app.storage.ports import Conflict, Gone, InUse, KeyReused, Records
from app.storage.records import Event, IdempotencyKey, Job, JobFilter, Page, Upload
from tests.support.extremes import extreme
from tests.support.records import a_job, an_upload
from winnow.contract.job import JobRequest

KEY = IdempotencyKey(key="k-1", fingerprint="f" * 64)


@pytest.fixture
def model(records: Records) -> Upload:
    return records.add_upload(an_upload())[0]


def added(records: Records, job: Job) -> Job:
    stored, new = records.add_job(job, None)
    assert new
    return stored


def failed(records: Records, model: Upload) -> Job:
    job = added(records, a_job(model))
    assert records.claim(job.id, 1001.0, 30.0)
    assert records.finish(
        job.id, 1, 1002.0, {"state": "failed", "problem": {"code": "x", "detail": "it broke"}}
    )
    return job


def states(records: Records, job: Job) -> list[str]:
    return [event.values["state"] for event in records.events(job.id, 0, 100) if event.type == "state"]


def test_a_job_comes_back_as_it_was_stored(records: Records, model: Upload) -> None:
    request = {"recipe": {"steps": [{"kind": "float16", "exclude": []}]}, "require": None, "seed": 3}
    job = a_job(model, model, tags={"team": "vision", "é": ""}, request=request, created_at=1723456789.123456)
    assert records.add_job(job, None) == (job, True)
    assert records.job("local", job.id) == job
    assert records.job("somebody", job.id) is None
    assert records.job("local", "job_none") is None


def test_a_key_finds_its_job_for_its_owner_and_request_only(records: Records, model: Upload) -> None:
    assert records.replayed("local", KEY) is None
    job, _ = records.add_job(a_job(model), KEY)
    assert records.replayed("local", KEY) == job
    assert records.replayed("somebody", KEY) is None
    with pytest.raises(KeyReused):
        records.replayed("local", IdempotencyKey(key=KEY.key, fingerprint="0" * 64))
    assert records.claim(job.id, 1001.0, 30.0)
    assert records.finish(job.id, 1, 1002.0, {"state": "succeeded"})
    assert records.delete_job("local", job.id)
    assert records.replayed("local", KEY) is None


def test_what_is_handed_out_is_a_copy(records: Records, model: Upload) -> None:
    job = added(records, a_job(model, tags={"team": "vision"}))
    found = records.job("local", job.id)
    assert found is not None
    found.tags["team"] = found.request["seed"] = "changed"
    unchanged = records.job("local", job.id)
    assert unchanged is not None
    assert (unchanged.tags, unchanged.request) == ({"team": "vision"}, {"seed": 0})


def test_a_job_needs_uploads_that_are_there_and_its_owners(records: Records, model: Upload) -> None:
    theirs, _ = records.add_upload(an_upload("b" * 64, owner="somebody"))
    with pytest.raises(Gone) as refused:
        records.add_job(a_job(model, theirs), None)
    assert refused.value.id == theirs.id
    with pytest.raises(Gone):
        records.add_job(a_job(model, uses=(model.id, "dst_none")), KEY)
    assert records.jobs("local", JobFilter(), Page()) == []
    assert records.add_job(a_job(model), KEY)[1]  # the refused one did not take the key


def test_the_same_key_and_request_are_the_same_job(records: Records, model: Upload) -> None:
    first, _ = records.add_job(a_job(model), KEY)
    assert records.add_job(a_job(model), KEY) == (first, False)
    with pytest.raises(KeyReused):
        records.add_job(a_job(model), replace(KEY, fingerprint="0" * 64))
    assert records.add_job(a_job(model), replace(KEY, key="k-2"))[1]
    assert added(records, a_job(model)).id != first.id


def test_a_key_is_its_owners(records: Records, model: Upload) -> None:
    theirs, _ = records.add_upload(an_upload(owner="somebody"))
    assert records.add_job(a_job(model), KEY)[1]
    assert records.add_job(a_job(theirs, owner="somebody"), KEY)[1]


def test_a_key_is_answered_although_the_upload_has_gone(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model), KEY)
    records.cancel_job("local", job.id, 1001.0)
    records.delete_upload("local", "model", model.id)
    assert records.add_job(a_job(model), KEY)[0].id == job.id


def test_the_same_key_at_the_same_time_makes_one_job(records: Records, model: Upload) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: records.add_job(a_job(model), KEY), range(8)))
    assert len({job.id for job, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1
    assert len(records.jobs("local", JobFilter(), Page())) == 1


def test_no_job_is_left_without_its_upload_when_both_happen_at_once(records: Records) -> None:
    for n in range(10):
        upload, _ = records.add_upload(an_upload(f"{n:064}"))

        def add(upload: Upload = upload) -> None:
            with suppress(Gone):
                records.add_job(a_job(upload), None)

        def remove(upload: Upload = upload) -> None:
            with suppress(InUse):
                records.delete_upload("local", "model", upload.id)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda work: work(), [add, remove]))
        jobs = records.jobs("local", JobFilter(model=upload.id), Page())
        assert (records.upload("local", "model", upload.id) is not None) == (len(jobs) == 1)


def test_filters_narrow_and_all_of_them_hold(records: Records, model: Upload) -> None:
    other, _ = records.add_upload(an_upload("b" * 64))
    first = added(records, a_job(model, created_at=1.0, tags={"team": "vision", "run": "1"}))
    second = added(records, a_job(model, created_at=2.0, tags={"team": "vision", "run": "2"}))
    third = added(records, a_job(other, created_at=3.0, tags={"team": "speech", "run": "1"}))
    third = records.cancel_job("local", third.id, 4.0) or third

    def found(filter: JobFilter) -> list[Job]:
        return records.jobs("local", filter, Page())

    assert found(JobFilter()) == [third, second, first]
    assert found(JobFilter(state="queued")) == [second, first]
    assert found(JobFilter(state="cancelled")) == [third]
    assert found(JobFilter(model=other.id)) == [third]
    assert found(JobFilter(tags={"team": "vision"})) == [second, first]
    assert found(JobFilter(tags={"team": "vision", "run": "1"})) == [first]
    assert found(JobFilter(tags={"vision": "team"})) == []
    assert found(JobFilter(since=2.0)) == [third, second]
    assert found(JobFilter(until=2.0)) == [first]
    assert found(JobFilter(since=2.0, until=3.0, state="queued", model=model.id)) == [second]
    assert records.jobs("somebody", JobFilter(), Page()) == []


def test_pages_go_on_after_the_last_row_seen(records: Records, model: Upload) -> None:
    stored = [added(records, a_job(model, created_at=float(n // 2))) for n in range(5)]
    expected = sorted(stored, key=lambda job: (job.created_at, job.id), reverse=True)
    first = records.jobs("local", JobFilter(), Page(limit=3))
    rest = records.jobs("local", JobFilter(), Page(limit=3, after=(first[-1].created_at, first[-1].id)))
    assert first + rest == expected


def test_the_position_counts_the_queued_jobs_made_before(records: Records, model: Upload) -> None:
    first, second, third = (added(records, a_job(model, created_at=float(n))) for n in range(3))
    assert [records.queue_position(job.id) for job in (first, second, third)] == [1, 2, 3]
    records.claim(first.id, 10.0, 30.0)
    assert [records.queue_position(job.id) for job in (first, second, third)] == [None, 1, 2]
    records.cancel_job("local", second.id, 11.0)
    assert [records.queue_position(job.id) for job in (first, second, third)] == [None, None, 1]
    assert records.queue_position("job_none") is None


def test_the_positions_of_many_are_those_of_each(records: Records, model: Upload) -> None:
    jobs = [added(records, a_job(model, created_at=float(n // 2))) for n in range(6)]
    records.claim(jobs[2].id, 10.0, 30.0)
    ids = [*(job.id for job in jobs[1:]), "job_none"]
    single = {id: records.queue_position(id) for id in ids}
    assert records.queue_positions(ids) == {id: position for id, position in single.items() if position}
    assert records.queue_positions([]) == {}
    for job in jobs[1:]:
        assert records.job_in_queue("local", job.id) == (records.job("local", job.id), single.get(job.id))
    assert records.job_in_queue("somebody", jobs[1].id) is None


def test_a_queued_job_is_cancelled_at_once(records: Records, model: Upload) -> None:
    job = added(records, a_job(model))
    cancelled = records.cancel_job("local", job.id, 1001.0)
    assert cancelled is not None
    assert (cancelled.state, cancelled.finished_at) == ("cancelled", 1001.0)
    assert records.claim(job.id, 1002.0, 30.0) is None
    assert records.cancel_job("local", job.id, 1003.0) == cancelled
    assert states(records, job) == ["queued", "cancelled"]


def test_a_running_job_is_asked_to_stop(records: Records, model: Upload) -> None:
    job = added(records, a_job(model))
    records.claim(job.id, 1001.0, 30.0)
    assert not records.cancel_requested(job.id, 1)
    cancelling = records.cancel_job("local", job.id, 1002.0)
    assert cancelling is not None
    assert cancelling.state == "cancelling"
    assert records.cancel_requested(job.id, 1)
    assert records.cancel_job("local", job.id, 1003.0) == cancelling
    assert records.finish(job.id, 1, 1004.0, {"state": "cancelled"})
    assert states(records, job) == ["queued", "running", "cancelling", "cancelled"]


def test_what_has_ended_otherwise_cannot_be_cancelled(records: Records, model: Upload) -> None:
    with pytest.raises(Conflict, match="failed"):
        records.cancel_job("local", failed(records, model).id, 1003.0)
    assert records.cancel_job("local", "job_none", 1.0) is None
    assert records.cancel_job("somebody", failed(records, model).id, 1.0) is None


def test_a_failed_job_is_tried_again_with_attempts_and_events_going_on(
    records: Records, model: Upload
) -> None:
    job = failed(records, model)
    last = records.events(job.id, 0, 100)[-1]
    again = records.retry_job("local", job.id, 1003.0, 2)
    assert again is not None
    assert (again.state, again.attempt, again.max_attempts) == ("queued", 1, 3)
    assert (again.problem, again.finished_at, again.started_at) == (None, None, None)
    assert records.queue_position(job.id) == 1
    claimed = records.claim(job.id, 1004.0, 30.0)
    assert claimed is not None
    assert claimed.attempt == 2
    assert [event.values["state"] for event in records.events(job.id, last.id, 100)] == ["queued", "running"]


def test_a_retry_forgets_all_that_the_job_had_made(records: Records, model: Upload) -> None:
    """A training that diverged leaves its best weights and its curves."""
    job = added(records, a_job(model))
    assert records.claim(job.id, 1001.0, 30.0)
    made = {
        "artifact_sha256": "c" * 64,
        "artifact_bytes": 2**33,
        "curves_sha256": "e" * 64,
        "curves_bytes": 7,
    }
    assert records.finish(job.id, 1, 1002.0, {"state": "failed", **made})
    failed = records.job("local", job.id)
    assert failed is not None
    assert {name: getattr(failed, name) for name in made} == made
    again = records.retry_job("local", job.id, 1003.0, 2)
    assert again is not None
    assert {name: getattr(again, name) for name in made} == dict.fromkeys(made)
    assert records.live_blobs() == {model.sha256}


def test_a_cancelled_job_can_be_retried_and_then_succeed(records: Records, model: Upload) -> None:
    job = added(records, a_job(model))
    records.cancel_job("local", job.id, 1001.0)
    assert records.retry_job("local", job.id, 1002.0, 3)
    assert records.claim(job.id, 1003.0, 30.0)
    assert not records.cancel_requested(job.id, 1)
    assert records.finish(job.id, 1, 1004.0, {"state": "succeeded"})


def test_a_retry_needs_an_end_and_the_uploads(records: Records, model: Upload) -> None:
    queued, broken = added(records, a_job(model)), failed(records, model)
    with pytest.raises(Conflict, match="queued"):
        records.retry_job("local", queued.id, 1003.0, 3)
    records.cancel_job("local", queued.id, 1003.0)
    records.delete_upload("local", "model", model.id)
    with pytest.raises(Gone) as refused:
        records.retry_job("local", broken.id, 1003.0, 3)
    assert refused.value.id == model.id
    assert records.retry_job("local", "job_none", 1.0, 3) is None


def test_a_deleted_job_takes_its_events_and_its_key_with_it(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model, tags={"a": "b"}), KEY)
    with pytest.raises(Conflict, match="queued"):
        records.delete_job("local", job.id)
    records.cancel_job("local", job.id, 1001.0)
    last = records.events(job.id, 0, 10)[-1].id
    assert not records.delete_job("somebody", job.id)
    assert records.delete_job("local", job.id)
    assert not records.delete_job("local", job.id)
    assert (records.job("local", job.id), records.events(job.id, 0, 10)) == (None, [])
    anew, new = records.add_job(a_job(model), replace(KEY, fingerprint="0" * 64))
    assert new
    assert records.events(anew.id, 0, 10)[0].id > last  # ids are never given twice


def test_events_come_in_order_and_after_the_one_last_seen(records: Records, model: Upload) -> None:
    job, other = added(records, a_job(model)), added(records, a_job(model))
    records.claim(job.id, 1001.0, 30.0)
    said = [
        Event(
            job=job.id,
            attempt=1,
            time=1002.0 + n,
            type="log",
            step="int8_static",
            message=f"{n}",
            values={"n": n},
        )
        for n in range(3)
    ]
    assert records.report(job.id, 1, step=None, progress=0.1, seconds_left=None, events=said)
    found = records.events(job.id, 0, 100)
    assert [event.id for event in found] == sorted({event.id for event in found})
    assert [replace(event, id=0) for event in found[2:]] == said
    assert records.events(job.id, found[1].id, 2) == found[2:4]
    assert [event.message for event in records.events(other.id, 0, 100)] == ["waiting for a worker"]
    assert records.events("job_none", 0, 10) == []


def test_a_failure_says_why_in_its_event(records: Records, model: Upload) -> None:
    event = records.events(failed(records, model).id, 0, 100)[-1]
    assert (event.level, event.message, event.values) == ("error", "it broke", {"state": "failed"})


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_numbers_of_a_request_come_back(records: Records, model: Upload, seed: int) -> None:
    request = JobRequest.model_validate(extreme(random.Random(seed))).model_dump(mode="json")
    job = added(records, a_job(model, request=request))
    found = records.job("local", job.id)
    assert found is not None
    assert found.request == request


def logged(job: str, at: int, **values: object) -> Event:
    return Event(job=job, attempt=1, time=1002.0, type="log", message=f"{at}", values={"step": at, **values})


def test_of_many_events_those_that_tell_a_number_are_evenly_sampled(records: Records, model: Upload) -> None:
    """However rare one of them is; values that are no numbers are the reader's."""
    job = added(records, a_job(model)).id
    records.claim(job, 1001.0, 30.0)
    said = [
        logged(job, at, validation_loss=0.5) if at % 100 == 99 else logged(job, at, loss=0.4)
        for at in range(500)
    ]
    said += [
        logged(job, 500, message="nothing told"),
        logged(job, 501, loss=None),
        logged(job, 502, loss="none"),
    ]
    assert records.report(job, 1, step=None, progress=0.1, seconds_left=None, events=said)
    found = records.sampled_events(job, ["loss", "validation_loss"], 20)
    assert [event.id for event in found] == sorted({event.id for event in found})
    rare = [event.values["step"] for event in found if "validation_loss" in event.values]
    assert rare == [99, 199, 299, 399, 499]
    often = [event.values["step"] for event in found if "loss" in event.values]
    assert (often[0], often[-1]) == (0, 502)
    assert len(often) <= 22
    assert max(after - before for before, after in pairwise(often)) <= 25 + 5
    assert found == [event for event in records.events(job, 0, 1000) if event in found]
    assert records.sampled_events("job_none", ["loss"], 20) == []
