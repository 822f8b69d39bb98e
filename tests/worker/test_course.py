import pytest

from app.storage.records import Job
from worker.child.spec import Advanced, Logged, Note, StepBegun
from worker.course import MOST_EVENTS, MOST_PENDING, Course


def course(steps: int = 1) -> Course:
    request = {"recipe": {"steps": [{"kind": "float16"}] * steps}}
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
    assert report["step"] == {"index": 0, "kind": "float16", "progress": 0.0}
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
    assert kept == MOST_EVENTS
