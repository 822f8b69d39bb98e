import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.storage.memory import MemoryRecords
from app.storage.records import Job, Leased
from tests.support.records import a_job, an_upload
from worker.scratch import KEEP_FAILED_SECONDS, Scratch


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def test_attempts_of_a_job_share_their_checkpoints_and_curves_and_nothing_else(scratch: Scratch) -> None:
    job = replace(a_job(), attempt=1)
    first = scratch.attempt(job)
    (first / "checkpoints" / "00").mkdir()
    (first / "curves" / "0-finetune").mkdir()
    (first / "model.onnx").touch()
    scratch.leave(job)
    second = scratch.attempt(replace(job, attempt=2))
    assert (second / "checkpoints" / "00").is_dir()
    assert (second / "curves" / "0-finetune").samefile(scratch.curves(job) / "0-finetune")
    assert not (second / "model.onnx").exists()
    assert not first.exists()


def test_an_attempt_begins_with_an_empty_folder(scratch: Scratch) -> None:
    upload: Leased = an_upload(attempt=1)
    (scratch.attempt(upload) / "left").touch()
    assert list(scratch.attempt(upload).iterdir()) == []


def test_what_was_measured_beside_an_attempt_goes_with_it_and_no_other_attempts(scratch: Scratch) -> None:
    job = replace(a_job(), attempt=1)
    own, other = scratch.attempt(job), scratch.attempt(replace(job, attempt=10))
    for name in ("attempt-1-x", "attempt-1-x-y", "attempt-10-x"):
        (own.parent / name / "data").mkdir(parents=True)
    scratch.leave(job)
    left = {folder.name for folder in other.parent.iterdir()} - {"checkpoints", "curves"}
    assert left == {"attempt-10", "attempt-10-x"}


def ended(records: MemoryRecords, job: Job, state: str) -> Job:
    records.add_job(job, None)
    claimed = records.claim(job.id, time.time(), 60)
    assert claimed is not None
    records.finish(job.id, claimed.attempt, time.time(), {"state": state})
    return job


def test_only_what_somebody_comes_back_to_survives_a_sweep(scratch: Scratch, tmp_path: Path) -> None:
    records = MemoryRecords()
    model, hers = an_upload(), an_upload(owner="ada")
    for upload in (model, hers):
        records.add_upload(upload)
    waiting = records.add_job(a_job(model), None)[0]
    failed = ended(records, a_job(model), "failed")
    her_failed = ended(records, a_job(hers, owner="ada"), "failed")
    long_failed = ended(records, a_job(model), "failed")
    cancelled = ended(records, a_job(model), "cancelled")
    done = ended(records, a_job(model), "succeeded")
    unknown = a_job(model)
    for item in (waiting, failed, her_failed, long_failed, cancelled, done, unknown, model):
        scratch.attempt(replace(item, attempt=1))
    old = time.time() - KEEP_FAILED_SECONDS - 60
    os.utime(tmp_path / long_failed.id, (old, old))
    scratch.sweep(records)
    assert {path.name for path in tmp_path.iterdir()} == {waiting.id, failed.id, her_failed.id, cancelled.id}


def test_what_is_held_survives_a_sweep(scratch: Scratch, tmp_path: Path) -> None:
    records = MemoryRecords()
    model = records.add_upload(an_upload())[0]
    held = records.claim(model.id, time.time(), 60)
    assert held is not None
    scratch.attempt(held)
    scratch.sweep(records)
    assert (tmp_path / model.id).exists()
