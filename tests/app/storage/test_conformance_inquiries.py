"""The port `Inquiries`, and what inquiries have of the other ports, as every store has to keep it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from app.storage.ports import Gone, Records
from app.storage.records import Inquiry, Job, Upload
from tests.support.records import a_job, an_inquiry, an_upload


@pytest.fixture
def both(records: Records) -> tuple[Upload, Upload]:
    """A model and a dataset that nobody has to inspect any more."""
    made = (an_upload(), an_upload("b" * 64, kind="dataset", format="npz"))
    for upload in made:
        records.add_upload(upload)
        records.claim(upload.id, 1000.0, 1.0)
        assert records.finish(upload.id, 1, 1000.0, {"state": "ready", "facts": {}})
    return made


def added(records: Records, inquiry: Inquiry) -> Inquiry:
    stored, new = records.add_inquiry(inquiry)
    assert new
    return stored


def answered(records: Records, inquiry: Inquiry, sha256: str = "c" * 64) -> None:
    taken = records.claim(inquiry.id, 1001.0, 30.0)
    assert taken is not None
    assert records.finish(inquiry.id, taken.attempt, 1002.0, {"state": "ready", "answer_sha256": sha256})


def test_a_question_is_kept_and_seen_by_its_owner_only(records: Records, both: tuple[Upload, Upload]) -> None:
    inquiry = an_inquiry(*both, question={"rows": 4, "declaration": {"inputs": {"ü": None}}})
    assert added(records, inquiry) == inquiry
    assert records.inquiry("local", inquiry.id) == inquiry
    assert records.inquiry("somebody", inquiry.id) is None
    assert records.inquiry("local", "inq_none") is None


def test_the_same_question_is_answered_once(records: Records, both: tuple[Upload, Upload]) -> None:
    first = added(records, an_inquiry(*both))
    answered(records, first)
    again, new = records.add_inquiry(an_inquiry(*both))
    assert (again.id, again.answer_sha256, new) == (first.id, "c" * 64, False)
    assert added(records, an_inquiry(*both, question={"service": "2"})).id != first.id
    assert added(records, an_inquiry(*both, kind="preview")).id != first.id


def test_one_that_failed_is_asked_again(records: Records, both: tuple[Upload, Upload]) -> None:
    first = added(records, an_inquiry(*both))
    records.claim(first.id, 1001.0, 30.0)
    assert records.finish(first.id, 1, 1002.0, {"state": "rejected", "problem": {"code": "not_finite"}})
    again = added(records, an_inquiry(*both))
    assert (again.id, again.state, again.problem, again.attempt) == (first.id, "inspecting", None, 1)
    assert records.claim(first.id, 1003.0, 30.0) is not None


def test_it_goes_with_its_model_or_its_dataset(records: Records, both: tuple[Upload, Upload]) -> None:
    first = added(records, an_inquiry(*both))
    answered(records, first)
    assert "c" * 64 in records.live_blobs()
    assert records.delete_upload("local", "dataset", both[1].id)
    assert records.inquiry("local", first.id) is None
    assert "c" * 64 not in records.live_blobs()
    assert records.claim(first.id, 1003.0, 30.0) is None


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_it_needs_both(records: Records, both: tuple[Upload, Upload], kind: str) -> None:
    gone = both[0] if kind == "model" else both[1]
    records.delete_upload("local", gone.kind, gone.id)
    with pytest.raises(Gone, match=gone.id):
        records.add_inquiry(an_inquiry(*both))
    with pytest.raises(Gone):
        records.add_inquiry(an_inquiry(both[1], both[0]))


def test_it_is_leased_like_an_inspection(records: Records, both: tuple[Upload, Upload]) -> None:
    """Taken by one, given back when the lease runs out, counted and published again for the queue `inspect`."""
    inquiry = added(records, an_inquiry(*both))
    other = added(records, an_inquiry(*both, kind="preview", created_at=1001.0))
    assert records.claim(inquiry.id, 1001.0, 30.0) is not None
    assert records.claim(inquiry.id, 1002.0, 30.0) is None
    assert [item.id for item in records.held()] == [inquiry.id]
    reaped = records.reap(1040.0, 0.0)
    assert [(wake.queue, wake.id) for wake in reaped.released] == [("inspect", inquiry.id)]
    assert reaped.waiting["inspect"] == 2
    assert [wake.id for wake in records.republish("inspect", 1, 1050.0, 1045.0)] == [other.id]
    assert {wake.id for wake in records.republish("inspect", 9, 1060.0, 1055.0)} == {inquiry.id, other.id}


def test_what_waits_longest_is_published_first_whatever_it_is(
    records: Records, both: tuple[Upload, Upload]
) -> None:
    inquiry = added(records, an_inquiry(*both, created_at=1000.0))
    upload, _ = records.add_upload(an_upload("d" * 64, created_at=1001.0))
    assert [wake.id for wake in records.republish("inspect", 1, 1050.0, 1045.0)] == [inquiry.id]
    assert [wake.id for wake in records.republish("inspect", 1, 1051.0, 1045.0)] == [upload.id]


def test_one_that_ends_every_worker_is_rejected(records: Records, both: tuple[Upload, Upload]) -> None:
    inquiry = added(records, an_inquiry(*both, max_attempts=1))
    records.claim(inquiry.id, 1001.0, 30.0)
    records.reap(1040.0, 0.0)
    stored = records.inquiry("local", inquiry.id)
    assert stored is not None
    assert stored.state == "rejected"
    assert stored.problem is not None
    assert "The question's worker ended" in stored.problem["detail"]


PAGE = "d" * 64


@pytest.fixture
def reported(records: Records) -> Job:
    """A job that has a report, and whose uploads are gone."""
    made, _ = records.add_job(a_job(state="succeeded", report_sha256="e" * 64), None)
    return made


def for_the_page(job: Job, **fields: Any) -> Inquiry:
    question = {"service": "1", "report": job.report_sha256}
    return an_inquiry(None, None, **{"kind": "page", "job": job.id, "question": question, **fields})


def test_the_page_of_a_job_is_its_jobs(records: Records, reported: Job) -> None:
    """Asked for twice it is made once; nobody else can ask."""
    first = added(records, for_the_page(reported))
    assert not records.add_inquiry(for_the_page(reported))[1]
    with pytest.raises(Gone, match=reported.id):
        records.add_inquiry(for_the_page(reported, owner="somebody"))
    answered(records, first, PAGE)
    job = records.job("local", reported.id)
    assert job is not None
    assert (job.page_sha256, job.state) == (PAGE, "succeeded")
    assert PAGE in records.live_blobs()
    assert PAGE not in records.live_blobs({reported.id})


def test_a_page_of_another_report_is_not_the_jobs(records: Records, reported: Job) -> None:
    answered(records, added(records, for_the_page(reported, question={"report": "f" * 64})), PAGE)
    job = records.job("local", reported.id)
    assert job is not None
    assert job.page_sha256 is None


def test_the_question_for_a_page_goes_with_its_job(records: Records, reported: Job) -> None:
    asked = added(records, for_the_page(reported))
    assert records.delete_job("local", reported.id)
    assert records.inquiry("local", asked.id) is None
    assert records.claim(asked.id, 1003.0, 30.0) is None


def test_a_page_that_comes_while_its_job_is_deleted_stops_neither(records: Records) -> None:
    for _ in range(20):
        job, _ = records.add_job(a_job(state="succeeded", report_sha256="e" * 64), None)
        asked = added(records, for_the_page(job))
        assert records.claim(asked.id, 1001.0, 30.0)
        made = {"state": "ready", "answer_sha256": PAGE}
        work: list[Callable[[], object]] = [
            partial(records.finish, asked.id, 1, 1002.0, made),
            partial(records.delete_job, "local", job.id),
        ]
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(one) for one in work]:
                done.result()
        assert records.job("local", job.id) is None
        assert records.inquiry("local", asked.id) is None
