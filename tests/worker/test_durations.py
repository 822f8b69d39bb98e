"""What a finished job took becomes rows, and no job is lost for it."""

from pathlib import Path
from typing import Any

import pytest

from app.storage.memory import MemoryRecords
from app.storage.records import Job, Upload
from tests.support.asked import report
from tests.support.facts import model_facts
from worker.durations import keep_durations, measured_durations

REQUEST = {"model": "mdl_1", "recipe": {"steps": [{"kind": "int8_dynamic"}]}}


@pytest.fixture
def records() -> MemoryRecords:
    made = MemoryRecords()
    made.add_upload(
        Upload(
            id="mdl_1", kind="model", name="m", format="onnx", sha256="0" * 64, size_bytes=1, state="ready",
            created_at=0.0, facts=model_facts().model_dump(mode="json"),
        )
    )  # fmt: skip
    return made


def job(attempt: int = 1, **request: Any) -> Job:
    return Job(
        id="job_1", state="running", created_at=0.0, attempt=attempt, model="mdl_1", uses=("mdl_1",),
        request=REQUEST | request,
    )  # fmt: skip


def reported(folder: Path) -> Path:
    (folder / "report.json").write_text(report().model_dump_json())
    return folder


def test_each_step_has_its_seconds_and_measuring_the_rest(records: MemoryRecords, tmp_path: Path) -> None:
    (step,) = report().steps
    told = measured_durations(records, job(), reported(tmp_path), step.seconds + 10.0, 2**30)
    assert [d.kind for d in told] == ["int8_dynamic", "measure"]
    assert [d.seconds for d in told] == pytest.approx([step.seconds, 10.0])
    assert {(d.operators, d.macs, d.memory_bytes, d.cpu) for d in told} == {
        ("Conv,Gemm", 100_000, 2**30, report().environment.cpu)
    }


def test_of_a_later_attempt_it_is_not_known_what_measuring_took(
    records: MemoryRecords, tmp_path: Path
) -> None:
    told = measured_durations(records, job(attempt=2), reported(tmp_path), 10.0, 2**30)
    assert [duration.kind for duration in told] == ["int8_dynamic"]


def test_nothing_is_told_where_something_is_amiss(records: MemoryRecords, tmp_path: Path) -> None:
    assert measured_durations(records, job(), tmp_path, 10.0, 0) == []
    assert measured_durations(records, job(model="mdl_gone"), reported(tmp_path), 10.0, 0) == []


def test_a_store_that_is_away_is_no_reason_to_lose_a_job() -> None:
    class Away(MemoryRecords):
        def add_durations(self, durations_of_job: Any) -> None:
            raise OSError("away")

    keep_durations(Away(), [])
