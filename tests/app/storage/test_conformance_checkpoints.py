"""The port `Checkpoints`, as every store has to keep it."""

from dataclasses import replace

from app.storage.ports import Records
from app.storage.records import LOCAL_OWNER, Checkpoint, Job
from tests.support.records import a_job, an_upload

NOW = 2000.0


def a_running_job(records: Records) -> Job:
    model, _ = records.add_upload(an_upload())
    records.claim(model.id, NOW, 60)
    records.finish(model.id, 1, NOW, {"state": "ready"})
    job, _ = records.add_job(a_job(model), None)
    claimed = records.claim(job.id, NOW, 60)
    assert isinstance(claimed, Job)
    return claimed


def a_checkpoint(job: Job, letter: str = "c", **fields: str) -> Checkpoint:
    made = Checkpoint(item=job.id, slot="finished", key=f"key-{letter}", sha256=letter * 64, kept_at=NOW)
    return replace(made, **fields)  # type: ignore[arg-type]


def test_the_last_of_each_slot_is_there(records: Records) -> None:
    job = a_running_job(records)
    finished = a_checkpoint(job)
    for kept in (a_checkpoint(job, "a"), finished, a_checkpoint(job, "b", slot="unfinished")):
        assert records.keep_checkpoint(job.attempt, kept)
    unfinished = a_checkpoint(job, "d", slot="unfinished")
    assert records.keep_checkpoint(job.attempt, unfinished)
    assert records.checkpoints(job.id) == [finished, unfinished]
    assert records.checkpoints("job_another") == []


def test_a_finished_step_ends_what_was_unfinished(records: Records) -> None:
    job = a_running_job(records)
    records.keep_checkpoint(job.attempt, a_checkpoint(job, "b", slot="unfinished"))
    curves, finished = a_checkpoint(job, "e", slot="curves"), a_checkpoint(job)
    for checkpoint in (curves, finished):
        records.keep_checkpoint(job.attempt, checkpoint)
    assert records.checkpoints(job.id) == [curves, finished]


def test_who_was_overtaken_keeps_nothing(records: Records) -> None:
    job = a_running_job(records)
    records.release(job.id, job.attempt, NOW)
    assert not records.keep_checkpoint(job.attempt, a_checkpoint(job))
    claimed = records.claim(job.id, NOW, 60)
    assert claimed is not None
    assert not records.keep_checkpoint(job.attempt, a_checkpoint(job))
    assert records.keep_checkpoint(claimed.attempt, a_checkpoint(job))


def test_its_blob_is_live_while_the_job_is_unfinished(records: Records) -> None:
    job = a_running_job(records)
    records.keep_checkpoint(job.attempt, a_checkpoint(job))
    assert "c" * 64 in records.live_blobs()
    records.release(job.id, job.attempt, NOW)
    assert "c" * 64 in records.live_blobs()
    records.claim(job.id, NOW, 60)
    records.finish(job.id, job.attempt + 1, NOW, {"state": "succeeded"})
    assert "c" * 64 not in records.live_blobs()


def test_it_goes_with_its_job(records: Records) -> None:
    job = a_running_job(records)
    records.keep_checkpoint(job.attempt, a_checkpoint(job))
    records.finish(job.id, job.attempt, NOW, {"state": "failed"})
    assert records.delete_job(LOCAL_OWNER, job.id)
    assert records.checkpoints(job.id) == []
    assert "c" * 64 not in records.live_blobs()
