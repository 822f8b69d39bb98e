"""What goes, told and done, also beside uploads of the same bytes."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.queue import MemoryQueue
from app.retention import parse_retention
from app.settings import Settings
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.ports import Blobs, Records
from app.storage.reaper import SWEEP_SECONDS, Reaper, sweep_once
from app.storage.retention import collect, expire_once, would_collect
from tests.support.records import a_job, an_upload

DAY = 86400.0
RETENTION = parse_retention("job.succeeded=10d, job.failed=2d, model=5d, dataset.rejected=1d")
AGES = st.sampled_from([0.5, 3.0, 7.0, 20.0])
"""In days: between all ages of the rules."""


def put(blobs: Blobs, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    return writer.commit()[0]


Made = tuple[float, str, bool]


def fill(
    records: Records, blobs: Blobs, uploads: list[Made], jobs: list[tuple[float, str, bool, int]]
) -> None:
    """Uploads of one byte each, equal ones among them, and jobs that use one of them."""
    kept = []
    for number, (age, state, pinned) in enumerate(uploads):
        sha256 = put(blobs, bytes([number // 2]))
        kind = "model" if number % 2 else "dataset"
        upload, _ = records.add_upload(
            an_upload(sha256, kind=kind, state=state, created_at=-age * DAY, pinned=pinned, size_bytes=1)
        )
        kept.append(upload)
    for age, state, pinned, use in jobs:
        made = {"finished_at": -age * DAY, "created_at": -age * DAY - 1}
        artifact = put(blobs, f"{age}{state}".encode())
        used = kept[use % len(kept)]
        records.add_job(a_job(used, state=state, pinned=pinned, artifact_sha256=artifact, **made), None)


@settings(max_examples=60, deadline=None)
@given(
    uploads=st.lists(
        st.tuples(AGES, st.sampled_from(["ready", "rejected"]), st.booleans()), min_size=1, max_size=6
    ),
    jobs=st.lists(
        st.tuples(AGES, st.sampled_from(["succeeded", "failed", "queued"]), st.booleans(), st.integers(0, 5)),
        max_size=6,
    ),
)
def test_what_is_told_beforehand_is_what_goes_and_no_reference_is_broken(
    uploads: list[Made], jobs: list[tuple[float, str, bool, int]]
) -> None:
    records, blobs = MemoryRecords(), MemoryBlobs()
    fill(records, blobs, uploads, jobs)
    later = time.time() + 1  # all bytes are older, all grace is over
    whole = records.live_blobs()
    told = would_collect(records, blobs, RETENTION, now=0.0, grace_seconds=-later)
    assert records.live_blobs() == whole
    done = collect(records, blobs, RETENTION, now=0.0, grace_seconds=-later)
    assert {old.id for old in told.records} == {old.id for old in done.records}
    assert told.blobs == done.blobs
    for sha256 in records.live_blobs():
        assert blobs.size(sha256) is not None
    assert would_collect(records, blobs, RETENTION, now=0.0, grace_seconds=-later).records == []


def test_jobs_go_before_the_uploads_that_only_they_use(records: Records) -> None:
    model, _ = records.add_upload(an_upload(state="ready", created_at=0.0))
    kept, _ = records.add_upload(an_upload("b" * 64, state="ready", created_at=0.0))
    old = a_job(model, kept, state="failed", created_at=0.0, finished_at=1.0)
    pinned = a_job(kept, state="failed", created_at=0.0, finished_at=1.0, pinned=True)
    for job in (old, pinned):
        records.add_job(job, None)
    assert [gone.id for gone in expire_once(records, RETENTION, 100 * DAY)] == [old.id, model.id]
    assert records.upload("local", "model", kept.id) is not None


def test_without_rules_nothing_goes_by_its_age(records: Records) -> None:
    records.add_upload(an_upload(state="ready", created_at=0.0))
    assert expire_once(records, {}, 1e12) == []


class Meanwhile(MemoryRecords):
    """Something happens just after it was asked which blobs are live."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def live_blobs(self, without: object = frozenset()) -> set[str]:
        live = super().live_blobs()
        self._happens()
        return live


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not yet recorded"])
def test_bytes_that_are_uploaded_again_while_they_are_collected_are_kept(
    blobs: Blobs, recorded: bool
) -> None:
    """The old record has gone and its bytes are about to, when they come again: before the sweep, after it was read
    what is live, with a record of theirs or just before it."""
    content, grace = b"the same bytes", 0.1
    sha256 = put(blobs, content)
    time.sleep(2 * grace)  # what is old enough to go

    def upload() -> None:
        assert put(blobs, content) == sha256
        if recorded:
            records.add_upload(an_upload(sha256, state="ready"))

    records = Meanwhile(upload)
    assert sweep_once(records, blobs, now=time.time(), grace_seconds=grace) == []
    assert blobs.size(sha256) == len(content)


def test_an_upload_that_is_sent_again_is_there_with_its_bytes_or_anew(records: Records, blobs: Blobs) -> None:
    """Whatever the order of expiry, sweep and upload: who was answered has the bytes."""
    content = b"the same bytes"
    sha256 = hashlib.sha256(content).hexdigest()
    for order in (
        "expire, upload, sweep",
        "upload, expire, sweep",
        "expire, sweep, upload",
        "expire, upload",
    ):
        records.add_upload(an_upload(put(blobs, content), state="ready", created_at=0.0))
        for act in order.split(", "):
            if act == "expire":
                expire_once(records, RETENTION, 100 * DAY)
            elif act == "sweep":
                sweep_once(records, blobs, now=time.time(), grace_seconds=60.0)
            else:
                put(blobs, content)
                answered, _ = records.add_upload(an_upload(sha256, state="ready", created_at=100 * DAY))
        assert records.upload("local", "model", answered.id) is not None, order
        assert blobs.size(sha256) == len(content), order
        records.delete_upload("local", "model", answered.id)


def test_a_reaper_removes_what_is_too_old_and_counts_it(tmp_path: Path) -> None:
    records, blobs = MemoryRecords(), MemoryBlobs()
    old, _ = records.add_upload(an_upload(put(blobs, b"old"), state="rejected", created_at=0.0))
    chosen = Settings(data_dir=tmp_path, retention="model.rejected=1d", blob_grace_seconds=0.0)
    reaper = Reaper(records, blobs, MemoryQueue(), chosen)
    reaper.turn(time.time() + SWEEP_SECONDS + 5)
    assert records.upload("local", "model", old.id) is None
    assert (reaper.done.turns, reaper.done.expired, reaper.done.swept) == (1, 1, 1)
