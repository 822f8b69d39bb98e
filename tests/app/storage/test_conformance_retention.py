"""The port `Retention`, as every store has to keep it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.storage.ports import Gone, Records
from app.storage.records import Expired, Expiry, IdempotencyKey, Job, Upload
from tests.support.records import a_job, an_inquiry, an_upload

LATER = 5000.0


def failed(before: float = LATER) -> Expiry:
    return Expiry(kind="job", state="failed", before=before)


def ready(kind: Any = "model", before: float = LATER) -> Expiry:
    return Expiry(kind=kind, state="ready", before=before)


@pytest.fixture
def model(records: Records) -> Upload:
    return records.add_upload(an_upload(state="ready"))[0]


def ended(records: Records, *uses: Upload, at: float = 2000.0, **fields: Any) -> Job:
    """A job that has failed."""
    job, _ = records.add_job(a_job(*uses, **fields), None)
    records.claim(job.id, 1000.0, 30.0)
    assert records.finish(job.id, 1, at, {"state": "failed", "artifact_bytes": 3})
    return job


def ids(expired: list[Expired]) -> list[str]:
    return [old.id for old in expired]


def test_old_jobs_go_with_all_that_is_theirs_and_young_ones_stay(records: Records, model: Upload) -> None:
    old, young = ended(records, model), ended(records, model, at=LATER)
    expected = Expired(kind="job", id=old.id, owner="local", state="failed", since=2000.0, size_bytes=3)
    assert records.expired(failed()) == [expected]
    assert records.expire(failed(), 10) == [expected]
    assert records.job("local", old.id) is None
    assert records.events(old.id, 0, 10) == []
    assert records.job("local", young.id) is not None
    assert records.expire(failed(), 10) == []


def test_only_the_state_that_was_named_goes(records: Records, model: Upload) -> None:
    ended(records, model)
    waiting, _ = records.add_job(a_job(model), None)
    cancelled, _ = records.add_job(a_job(model), None)
    records.cancel_job("local", cancelled.id, 1500.0)
    assert ids(records.expire(Expiry(kind="job", state="cancelled", before=LATER), 10)) == [cancelled.id]
    assert records.job("local", waiting.id) is not None


def test_the_oldest_go_first_and_no_more_than_asked(records: Records, model: Upload) -> None:
    jobs = [ended(records, model, created_at=1000.0 + n) for n in range(3)]
    assert ids(records.expire(failed(), 2)) == [job.id for job in jobs[:2]]
    assert ids(records.expire(failed(), 2)) == [jobs[2].id]


def test_a_search_goes_with_its_study(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model, searches=True), None)
    records.cancel_job("local", job.id, 1500.0)
    assert ids(records.expire(Expiry(kind="job", state="cancelled", before=LATER), 10)) == [job.id]
    assert records.study(job.id) is None


def test_what_is_pinned_stays_until_it_is_pinned_no_longer(records: Records, model: Upload) -> None:
    job = ended(records, model)
    for id in (job.id, model.id):
        assert records.pin("local", id, True)
    assert records.expired(failed()) == records.expire(failed(), 10) == []
    stored = records.job("local", job.id)
    assert stored is not None
    assert stored.pinned
    assert records.pin("local", job.id, False)
    assert ids(records.expire(failed(), 10)) == [job.id]
    assert records.expire(ready(), 10) == []


def test_what_is_not_there_or_another_s_cannot_be_pinned(records: Records, model: Upload) -> None:
    assert not records.pin("local", "job_none", True)
    assert not records.pin("local", "mdl_none", True)
    assert not records.pin("somebody", model.id, True)
    unchanged = records.upload("local", "model", model.id)
    assert unchanged is not None
    assert not unchanged.pinned


def test_an_upload_stays_while_a_job_names_it(records: Records, model: Upload) -> None:
    data, _ = records.add_upload(an_upload("b" * 64, kind="dataset", state="ready"))
    job = ended(records, model, data)
    assert records.expire(ready(), 10) == records.expire(ready("dataset"), 10) == []
    [told] = records.expired(ready())
    assert (told.id, told.used_by) == (model.id, frozenset({job.id}))
    records.expire(failed(), 10)
    assert ids(records.expire(ready(), 10)) == [model.id]
    assert ids(records.expire(ready("dataset"), 10)) == [data.id]


def test_questions_go_with_their_upload(records: Records, model: Upload) -> None:
    data, _ = records.add_upload(an_upload("b" * 64, kind="dataset", state="ready"))
    inquiry, _ = records.add_inquiry(an_inquiry(model, data))
    records.expire(ready("dataset"), 10)
    assert records.inquiry("local", inquiry.id) is None


def test_what_was_sent_again_is_as_young_as_what_is_new(records: Records, model: Upload) -> None:
    again, new = records.add_upload(an_upload(state="ready", created_at=4000.0))
    assert (again.id, new) == (model.id, False)
    assert records.expire(ready(before=3999.0), 10) == []
    assert ids(records.expire(ready(before=4001.0), 10)) == [model.id]


def test_a_job_that_was_imported_is_as_old_as_its_record(records: Records, model: Upload) -> None:
    job, _ = records.add_job(a_job(model, state="failed", created_at=4000.0, finished_at=10.0), None)
    assert records.expired(failed(before=3999.0)) == records.expire(failed(before=3999.0), 10) == []
    assert ids(records.expire(failed(before=4001.0), 10)) == [job.id]


def test_a_key_of_a_job_that_went_is_free_again(records: Records, model: Upload) -> None:
    key = IdempotencyKey(key="k", fingerprint="f" * 64)
    job, _ = records.add_job(a_job(model), key)
    records.cancel_job("local", job.id, 1500.0)
    records.expire(Expiry(kind="job", state="cancelled", before=LATER), 10)
    assert records.replayed("local", key) is None


def test_live_blobs_can_be_told_without_what_is_about_to_go(records: Records) -> None:
    model, _ = records.add_upload(an_upload("a" * 64, state="ready", converted="c" * 64))
    data, _ = records.add_upload(an_upload("b" * 64, kind="dataset", state="ready"))
    other, _ = records.add_upload(an_upload("a" * 64, kind="dataset", state="ready"))
    job, _ = records.add_job(a_job(data), None)
    records.claim(job.id, 1000.0, 30.0)
    records.finish(job.id, 1, 2000.0, {"state": "succeeded", "artifact_sha256": "d" * 64})
    names = {letter * 64 for letter in "abcd"}
    assert records.live_blobs() == names
    assert records.live_blobs(without={model.id}) == names - {"c" * 64}
    assert records.live_blobs(without={model.id, other.id, job.id}) == {"b" * 64}


def test_a_job_that_is_added_while_its_model_expires_has_it_or_is_refused(records: Records) -> None:
    def add(model: Upload) -> bool:
        try:
            return records.add_job(a_job(model), None)[1]
        except Gone:
            return False

    with ThreadPoolExecutor(2) as threads:
        for n in range(10):
            model, _ = records.add_upload(an_upload(f"{n:064}", state="ready"))
            added = threads.submit(add, model)
            expired = threads.submit(records.expire, ready(), 100)
            assert (model.id in ids(expired.result())) is not added.result()
            assert (records.upload("local", "model", model.id) is not None) is added.result()
