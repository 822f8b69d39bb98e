"""The ports `Audit` and `Usage`, as every store has to keep them; and jobs that are looked for on nobody's behalf."""

import time

from app.storage.ids import study_of
from app.storage.ports import Records
from app.storage.records import Audited, Decision, Page
from tests.support.records import a_job, a_trial, an_upload


def an_entry(number: int, **fields: object) -> Audited:
    made: dict[str, object] = {
        "id": f"aud_{number:026}",
        "created_at": 1000.0 + number,
        "owner": "ada",
        "key": None,
        "method": "DELETE",
        "route": "/v1/jobs/{id}",
        "object": "job_1",
        "status": 204,
        "request_id": "r",
    }
    return Audited(**made | fields)  # type: ignore[arg-type]


def test_what_was_done_is_listed_from_new_to_old_in_pages(records: Records) -> None:
    entries = [an_entry(0), an_entry(1, key="key_1", object=None), an_entry(2, owner="bob")]
    for entry in entries:
        records.add_audited(entry)
    first = records.audited(Page(limit=2))
    rest = records.audited(Page(limit=2, after=(first[-1].created_at, first[-1].id)))
    assert [*first, *rest] == entries[::-1]


def test_an_owners_bytes_count_as_often_as_a_record_names_them(records: Records) -> None:
    """Those of the same content, too: else who has them could be told."""
    now = time.time()
    for owner in ("ada", "bob"):
        model, _ = records.add_upload(an_upload(owner=owner, size_bytes=100))
        records.add_upload(an_upload("b" * 64, owner=owner, kind="dataset", size_bytes=20))
        job, _ = records.add_job(a_job(model, owner=owner), None)
        claimed = records.claim(job.id, now, 30.0)
        assert claimed is not None
        made = {
            "artifact_sha256": "c" * 64,
            "artifact_bytes": 3,
            "curves_sha256": "d" * 64,
            "curves_bytes": 1,
        }
        assert records.finish(job.id, claimed.attempt, now, {"state": "succeeded", **made})
    assert [records.stored_bytes(owner) for owner in ("ada", "bob", "eve")] == [124, 124, 0]


def test_the_artifacts_of_trials_count(records: Records) -> None:
    now = time.time()
    model, _ = records.add_upload(an_upload(owner="ada", size_bytes=100))
    job, _ = records.add_job(a_job(model, owner="ada", searches=True), None)
    study = records.claim(study_of(job.id), now, 30.0)
    assert study is not None
    assert records.settle(study.id, study.attempt, now, 0, Decision(add=[a_trial(job)]))
    trial = records.claim(a_trial(job).id, now, 30.0)
    assert trial is not None
    made = {"state": "finished", "artifact_sha256": "c" * 64, "artifact_bytes": 7}
    assert records.finish(trial.id, trial.attempt, now, made)
    assert (records.stored_bytes("ada"), records.stored_bytes("local")) == (107, 0)


def test_jobs_are_open_until_they_have_finished(records: Records) -> None:
    model, _ = records.add_upload(an_upload(owner="ada"))
    waits, runs, ended = (records.add_job(a_job(model, owner="ada"), None)[0] for _ in range(3))
    assert records.claim(runs.id, 1001.0, 30.0)
    records.cancel_job("ada", runs.id, 1002.0)
    records.cancel_job("ada", ended.id, 1002.0)
    assert (records.open_jobs("ada"), records.open_jobs("bob")) == (2, 0)
    assert records.any_job(waits.id) == waits
    assert records.any_job("job_none") is None
    assert records.any_job(model.id) is None
