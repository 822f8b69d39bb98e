import pytest

from app.storage.records import Job, Trial
from worker.child.protocol import Advanced, Logged, Note, StepBegun
from worker.progress_record import MAX_EVENTS, MAX_MESSAGE_CHARACTERS, MAX_PENDING_EVENTS, ProgressRecord


def record(steps: int = 1, kind: str = "float16") -> ProgressRecord:
    request = {"recipe": {"steps": [{"kind": kind}] * steps}}
    job = Job(id="job_1", state="running", created_at=0.0, model="mdl_1", uses=(), request=request, attempt=2)
    return ProgressRecord(job)


def test_steps_and_measuring_weigh_the_same() -> None:
    progress_record = record(steps=3)
    seen = []
    notes: list[Note] = [
        StepBegun(index=0, kind="float16"),
        Advanced(fraction=0.5),
        StepBegun(index=2, kind="float16"),
        StepBegun(index=3, kind="measure"),
        Advanced(fraction=1.0),
    ]
    for note in notes:
        progress_record.note(note)
        seen.append(progress_record.progress)
    assert seen == pytest.approx([0.0, 0.125, 0.5, 0.75, 1.0])


def test_progress_never_goes_back_nor_beyond_one() -> None:
    progress_record = record()
    for fraction in (0.8, 0.2, 7.0, -1.0):
        before = progress_record.progress
        progress_record.note(Advanced(fraction=fraction))
        assert before <= progress_record.progress <= 1.0


def test_nothing_new_is_not_reported() -> None:
    progress_record = record()
    assert progress_record.take() is None
    progress_record.note(StepBegun(index=0, kind="float16"))
    assert progress_record.take() is not None
    assert progress_record.take() is None


def test_a_report_tells_step_and_events_of_this_attempt() -> None:
    progress_record = record()
    progress_record.note(StepBegun(index=0, kind="float16"))
    progress_record.note(Logged(message="3 of 4 nodes changed", values={"changed": 3}))
    report = progress_record.take()
    assert report is not None
    step = {"index": 0, "kind": "float16", "progress": 0.0, "message": "3 of 4 nodes changed"}
    assert report["step"] == step
    begun, logged = report["events"]
    assert (begun.type, begun.attempt) == ("progress", 2)
    assert (logged.message, logged.values, logged.step) == ("3 of 4 nodes changed", {"changed": 3}, "float16")


def test_a_report_that_the_store_did_not_take_comes_again_in_order() -> None:
    progress_record = record()
    progress_record.note(Logged(message="first"))
    report = progress_record.take()
    assert report is not None
    progress_record.put_back(report)
    progress_record.note(Logged(message="second"))
    again = progress_record.take()
    assert again is not None
    assert [event.message for event in again["events"]] == ["first", "second"]


def test_a_library_that_talks_without_end_is_not_listened_to_for_ever() -> None:
    progress_record = record()
    kept = 0
    for _ in range(MAX_EVENTS // MAX_PENDING_EVENTS + 5):
        for _ in range(MAX_PENDING_EVENTS):
            progress_record.note(Logged(message="x" * 10_000, values={"v": "y" * 10_000}))
        report = progress_record.take()
        events = report["events"] if report else []
        assert all(len(event.message) <= 2000 and not event.values for event in events)
        kept += len(events)
    assert MAX_EVENTS <= kept <= MAX_EVENTS + 60  # and one more a second


def test_a_training_of_days_is_listened_to_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("worker.progress_record.time.monotonic", lambda: now)
    progress_record = record(kind="finetune")
    progress_record.note(StepBegun(index=0, kind="finetune"))
    kept, told = 0, 60_000
    for number in range(told):
        now += 2.0
        progress_record.note(Logged(message=f"step {number}", values={"step": number}))
        report = progress_record.take()
        assert report is not None
        kept += sum(event.type == "log" for event in report["events"])
    assert kept == told


def test_a_training_weighs_more_than_what_follows_it() -> None:
    progress_record = record(kind="distillation")
    progress_record.note(StepBegun(index=0, kind="distillation"))
    progress_record.note(Advanced(fraction=0.5))
    assert progress_record.progress == pytest.approx(5 / 11)
    progress_record.note(StepBegun(index=1, kind="measure"))
    assert progress_record.progress == pytest.approx(10 / 11)


def test_beside_the_progress_stands_what_the_step_said_last() -> None:
    progress_record = record()
    progress_record.note(Logged(message="nobody's"))
    progress_record.note(StepBegun(index=0, kind="float16"))
    steps = []
    for note in (
        Logged(message="epoch 1 of 3"),
        Advanced(fraction=0.1),
        Logged(message="x" * 5000),
        StepBegun(index=1, kind="measure"),
    ):
        progress_record.note(note)
        report = progress_record.take()
        assert report is not None
        steps.append(report["step"]["message"])
    assert steps == ["epoch 1 of 3", "epoch 1 of 3", "x" * MAX_MESSAGE_CHARACTERS, None]


def test_a_step_that_knows_its_end_is_believed() -> None:
    """Also before it is far enough to tell from its progress; measuring after it takes a tenth as long."""
    progress_record = record(kind="finetune")
    progress_record.note(StepBegun(index=0, kind="finetune"))
    progress_record.note(Advanced(fraction=0.001))
    progress_record.note(Logged(message="step 1", values={"seconds_left": 1000.0}))
    report = progress_record.take()
    assert report is not None
    assert report["seconds_left"] == pytest.approx(1100, abs=2)
    progress_record.note(StepBegun(index=1, kind="measure"))
    report = progress_record.take()
    assert report is not None
    assert report["seconds_left"] is None


@pytest.mark.parametrize("told", [None, "soon", float("nan"), float("inf"), -1.0])
def test_an_end_that_is_no_number_is_not_believed(told: object) -> None:
    progress_record = record(kind="finetune")
    progress_record.note(StepBegun(index=0, kind="finetune"))
    progress_record.note(Logged(message="step 1", values={"seconds_left": told}))
    report = progress_record.take()
    assert report is not None
    assert report["seconds_left"] is None


def test_a_crash_is_told_with_the_step_it_was_in() -> None:
    progress_record = record(kind="low_rank")
    progress_record.note(StepBegun(index=0, kind="low_rank"))
    progress_record.crashed("its process ended with SIGABRT")
    report = progress_record.take()
    assert report is not None
    told = report["events"][-1]
    assert told.step == "low_rank"
    assert told.message == "attempt 2 ended early: its process ended with SIGABRT"


def test_of_a_trial_what_it_logs_is_told_and_nothing_else() -> None:
    recipe = {"steps": [{"kind": "float16"}]}
    row = Trial(id="trl_1", job="job_1", number=3, state="running", created_at=0.0, recipe=recipe)
    progress_record = ProgressRecord(row)
    progress_record.note(StepBegun(index=0, kind="float16"))
    progress_record.note(Advanced(fraction=0.5))
    assert progress_record.take() is None
    progress_record.note(Logged(message="3 of 4 nodes changed"))
    report = progress_record.take()
    assert report is not None
    assert [(event.job, event.type, event.message) for event in report["events"]] == [
        ("job_1", "log", "3 of 4 nodes changed")
    ]
