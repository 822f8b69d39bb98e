import pytest

from app.storage.records import Job
from worker.child.spec import Advanced, Logged, Note, StepBegun
from worker.course import MOST_EVENTS, MOST_PENDING, MOST_SHOWN, Course


def course(steps: int = 1, kind: str = "float16") -> Course:
    request = {"recipe": {"steps": [{"kind": kind}] * steps}}
    job = Job(id="job_1", state="running", created_at=0.0, model="mdl_1", uses=(), request=request, attempt=2)
    return Course(job)


def test_steps_and_measuring_weigh_the_same() -> None:
    way = course(steps=3)
    seen = []
    notes: list[Note] = [
        StepBegun(index=0, kind="float16"),
        Advanced(fraction=0.5),
        StepBegun(index=2, kind="float16"),
        StepBegun(index=3, kind="measure"),
        Advanced(fraction=1.0),
    ]
    for note in notes:
        way.note(note)
        seen.append(way.progress)
    assert seen == pytest.approx([0.0, 0.125, 0.5, 0.75, 1.0])


def test_progress_never_goes_back_nor_beyond_one() -> None:
    way = course()
    for fraction in (0.8, 0.2, 7.0, -1.0):
        before = way.progress
        way.note(Advanced(fraction=fraction))
        assert before <= way.progress <= 1.0


def test_nothing_new_is_not_reported() -> None:
    way = course()
    assert way.take() is None
    way.note(StepBegun(index=0, kind="float16"))
    assert way.take() is not None
    assert way.take() is None


def test_a_report_tells_step_and_events_of_this_attempt() -> None:
    way = course()
    way.note(StepBegun(index=0, kind="float16"))
    way.note(Logged(message="3 of 4 nodes changed", values={"changed": 3}))
    report = way.take()
    assert report is not None
    step = {"index": 0, "kind": "float16", "progress": 0.0, "message": "3 of 4 nodes changed"}
    assert report["step"] == step
    begun, logged = report["events"]
    assert (begun.type, begun.attempt) == ("progress", 2)
    assert (logged.message, logged.values, logged.step) == ("3 of 4 nodes changed", {"changed": 3}, "float16")


def test_a_report_that_the_store_did_not_take_comes_again_in_order() -> None:
    way = course()
    way.note(Logged(message="first"))
    report = way.take()
    assert report is not None
    way.put_back(report)
    way.note(Logged(message="second"))
    again = way.take()
    assert again is not None
    assert [event.message for event in again["events"]] == ["first", "second"]


def test_a_library_that_talks_without_end_is_not_listened_to_for_ever() -> None:
    way = course()
    kept = 0
    for _ in range(MOST_EVENTS // MOST_PENDING + 5):
        for _ in range(MOST_PENDING):
            way.note(Logged(message="x" * 10_000, values={"v": "y" * 10_000}))
        report = way.take()
        events = report["events"] if report else []
        assert all(len(event.message) <= 2000 and not event.values for event in events)
        kept += len(events)
    assert MOST_EVENTS <= kept <= MOST_EVENTS + 60  # and one more a second


def test_a_training_of_days_is_listened_to_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("worker.course.time.monotonic", lambda: now)
    way = course(kind="finetune")
    way.note(StepBegun(index=0, kind="finetune"))
    kept, told = 0, 60_000
    for number in range(told):
        now += 2.0
        way.note(Logged(message=f"step {number}", values={"step": number}))
        report = way.take()
        assert report is not None
        kept += sum(event.type == "log" for event in report["events"])
    assert kept == told


def test_a_training_weighs_more_than_what_follows_it() -> None:
    way = course(kind="distillation")
    way.note(StepBegun(index=0, kind="distillation"))
    way.note(Advanced(fraction=0.5))
    assert way.progress == pytest.approx(5 / 11)
    way.note(StepBegun(index=1, kind="measure"))
    assert way.progress == pytest.approx(10 / 11)


def test_beside_the_progress_stands_what_the_step_said_last() -> None:
    way = course()
    way.note(Logged(message="nobody's"))
    way.note(StepBegun(index=0, kind="float16"))
    steps = []
    for note in (
        Logged(message="epoch 1 of 3"),
        Advanced(fraction=0.1),
        Logged(message="x" * 5000),
        StepBegun(index=1, kind="measure"),
    ):
        way.note(note)
        report = way.take()
        assert report is not None
        steps.append(report["step"]["message"])
    assert steps == ["epoch 1 of 3", "epoch 1 of 3", "x" * MOST_SHOWN, None]


def test_a_step_that_knows_its_end_is_believed() -> None:
    """Also before it is far enough to tell from its progress; measuring after it takes a tenth as long."""
    way = course(kind="finetune")
    way.note(StepBegun(index=0, kind="finetune"))
    way.note(Advanced(fraction=0.001))
    way.note(Logged(message="step 1", values={"seconds_left": 1000.0}))
    report = way.take()
    assert report is not None
    assert report["seconds_left"] == pytest.approx(1100, abs=2)
    way.note(StepBegun(index=1, kind="measure"))
    report = way.take()
    assert report is not None
    assert report["seconds_left"] is None


@pytest.mark.parametrize("told", [None, "soon", float("nan"), float("inf"), -1.0])
def test_an_end_that_is_no_number_is_not_believed(told: object) -> None:
    way = course(kind="finetune")
    way.note(StepBegun(index=0, kind="finetune"))
    way.note(Logged(message="step 1", values={"seconds_left": told}))
    report = way.take()
    assert report is not None
    assert report["seconds_left"] is None


def test_a_crash_is_told_with_the_step_it_was_in() -> None:
    way = course(kind="low_rank")
    way.note(StepBegun(index=0, kind="low_rank"))
    way.crashed("its process ended with SIGABRT")
    report = way.take()
    assert report is not None
    told = report["events"][-1]
    assert told.step == "low_rank"
    assert told.message == "attempt 2 ended early: its process ended with SIGABRT"
