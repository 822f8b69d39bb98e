"""The port `Tallies`, as every store has to keep it."""

from dataclasses import replace

from app.storage.ports import Records
from app.storage.records import STEP_BOUNDS, Decision, Duration, Group, QueueTally, ReaperTally, StepTally
from tests.support.records import a_job, a_trial, an_inquiry, an_upload

EMPTY = QueueTally()
TOOK = Duration(
    job="job_1",
    kind="int8_static",
    operators="Conv",
    seconds=1.0,
    macs=None,
    parameters=1,
    samples=1,
    epochs=1.0,
    memory_bytes=1,
    cpu="a CPU",
    finished_at=1000.0,
)


def test_an_empty_store_has_nothing_to_count(records: Records) -> None:
    tally = records.tally()
    assert (tally.groups, tally.steps) == ([], [])
    assert tally.queues == {"inspect": EMPTY, "cpu": EMPTY}


def test_records_are_counted_by_kind_state_and_outcome_with_their_bytes(records: Records) -> None:
    model, _ = records.add_upload(an_upload(state="ready", size_bytes=5))
    data, _ = records.add_upload(an_upload("b" * 64, kind="dataset", state="ready", size_bytes=7))
    records.add_upload(an_upload("c" * 64, size_bytes=2**40))
    records.add_inquiry(an_inquiry(model, data))
    for n in range(3):
        job, _ = records.add_job(a_job(model, id=f"job_{n}"), None)
        if n:
            records.claim(job.id, 1000.0, 30.0)
            made = {"artifact_bytes": 2, "curves_bytes": 1}
            records.finish(job.id, 1, 1001.0, {"state": "succeeded", "outcome": "accepted", **made})
    records.add_job(a_job(model, searches=True), None)
    assert records.tally().groups == [
        Group(kind="dataset", state="ready", count=1, size_bytes=7),
        Group(kind="job", state="queued", count=1),
        Group(kind="job", state="succeeded", outcome="accepted", count=2, size_bytes=6),
        Group(kind="model", state="inspecting", count=1, size_bytes=2**40),
        Group(kind="model", state="ready", count=1, size_bytes=5),
        Group(kind="propose", state="inspecting", count=1),
        Group(kind="search", state="queued", count=1),
    ]


def test_trials_are_counted_with_what_they_made(records: Records) -> None:
    model, _ = records.add_upload(an_upload(state="ready"))
    job, _ = records.add_job(a_job(model, searches=True), None)
    study = records.study(job.id)
    assert study is not None
    records.claim(study.id, 1000.0, 30.0)
    trials = [a_trial(job), a_trial(job, 1, role="final")]
    assert records.settle(study.id, 1, 1000.0, study.news, Decision(add=trials))
    records.claim(trials[0].id, 1000.0, 30.0)
    records.finish(trials[0].id, 1, 1001.0, {"state": "finished", "artifact_bytes": 9})
    counted = [group for group in records.tally().groups if group.kind in ("trial", "final")]
    assert counted == [
        Group(kind="final", state="waiting", count=1),
        Group(kind="trial", state="finished", count=1, size_bytes=9),
    ]


def test_a_queue_tells_what_waits_and_since_when(records: Records) -> None:
    model, _ = records.add_upload(an_upload(created_at=5.0))
    jobs = [records.add_job(a_job(model, created_at=n), None)[0] for n in (20.0, 10.0)]
    assert records.tally().queues == {
        "inspect": QueueTally(waiting=1, oldest=5.0),
        "cpu": QueueTally(waiting=2, oldest=10.0),
    }
    records.add_job(a_job(model, created_at=7.0, needs=("cpu", "cuda")), None)
    records.claim(jobs[1].id, 30.0, 30.0)
    assert records.tally().queues == {
        "inspect": QueueTally(waiting=1, oldest=5.0),
        "cpu": QueueTally(waiting=1, oldest=20.0),
        "cuda": QueueTally(waiting=1, oldest=7.0),
    }


def test_what_reapers_did_is_counted_by_family(records: Records) -> None:
    model, _ = records.add_upload(an_upload())
    records.add_job(a_job(model), None)
    records.claim(model.id, 1000.0, 30.0)
    records.reap(1030.0, 15.0)
    assert len(records.republish("cpu", 5, 1100.0, 1000.0)) == 1
    assert records.republish("cpu", 5, 1101.0, 1000.0) == []
    assert records.tally().reaped == {
        "inspect": ReaperTally(released=1, republished=0),
        "work": ReaperTally(released=0, republished=1),
    }


def test_what_steps_took_is_counted_within_each_bound(records: Records) -> None:
    took = [0.5, STEP_BOUNDS[1], STEP_BOUNDS[-1] + 1]
    records.add_durations([replace(TOOK, seconds=seconds) for seconds in took])
    records.add_durations([replace(TOOK, kind="measure", seconds=2.0)])
    static, measure = records.tally().steps
    middle = (2,) * (len(STEP_BOUNDS) - 1)
    assert static == StepTally(kind="int8_static", within=(1, *middle), count=3, seconds=sum(took))
    assert (measure.kind, measure.count, measure.within[:2]) == ("measure", 1, (0, 1))
