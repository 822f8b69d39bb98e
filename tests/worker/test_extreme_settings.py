"""Settings that no child survives are the job's own end: told after one attempt, not tried three times."""

from pathlib import Path
from typing import Any

import onnx
import pytest

from app.machine import usable_cores
from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.local_blobs import LocalBlobs
from app.storage.memory import MemoryRecords
from app.storage.records import LOCAL_OWNER, Job
from tests.support.forked import until_servers_are_ready
from tests.support.graphs import cnn
from tests.support.records import a_job, an_upload
from winnow.contract.job import MAX_MEMORY_BYTES
from worker.runner import Runner

STEP = {"kind": "weight_only", "method": "rtn"}


def ran(folder: Path, **request: Any) -> Job:
    """One message, one attempt of the real child; how the job stands then."""
    records, blobs = MemoryRecords(), LocalBlobs(folder / "blobs")
    onnx.save(cnn(), folder / "cnn.onnx")
    sha256, size = blobs.put_file(folder / "cnn.onnx")
    model, _ = records.add_upload(an_upload(sha256, size_bytes=size, state="ready"))
    asked = {"model": model.id, "recipe": {"steps": [STEP]}, "benchmark": {"rounds": 9}} | request
    job, _ = records.add_job(a_job(model, request=asked), None)
    until_servers_are_ready(usable_cores())
    Runner(Settings(data_dir=folder), records, blobs, MemoryQueue()).run(job.id)
    found = records.job(LOCAL_OWNER, job.id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("request_", "codes"),
    [
        ({"limits": {"memory_bytes": MAX_MEMORY_BYTES}}, (None,)),
        ({"limits": {"memory_bytes": 2**28}}, (None, "memory_limit_exceeded")),
        ({"limits": {"seconds": 1}}, (None, "time_limit_exceeded")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_job_at_the_bounds_ends_in_its_first_attempt(
    tmp_path: Path, request_: dict[str, Any], codes: tuple[str | None, ...]
) -> None:
    job = ran(tmp_path, **request_)
    assert job.state in ("succeeded", "failed"), "given back: it would be tried again"
    assert (job.attempt, job.problem and job.problem["code"]) in {(1, code) for code in codes}
