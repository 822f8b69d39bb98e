"""Workers as a table, and draining one; from an API whose workers the test plays."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.storage.records import Taker
from tests.support.asked import job
from tests.support.records import a_job, a_worker, an_upload
from tests.support.served import Served, served
from winnow.cli.commands import commands
from winnow.cli.facts import standing
from winnow.contract.capability import WaitingFor
from winnow.contract.job import JobState


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("COLUMNS", "200")
    with served(tmp_path / "data") as running:
        monkeypatch.setenv("WINNOW_URL", running.url)
        records = running.parts.records
        used, _ = records.add_upload(an_upload(state="ready"))
        records.add_job(a_job(used, id="job_1"), None)
        records.worker_seen(a_worker(id="wrk_1", device="NVIDIA H200", cores=8), 0.0)
        assert records.claim_next(Taker(id="wrk_1", capabilities=frozenset({"cpu"})), time.time(), 30.0)
        yield running


def ask(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_workers_are_a_table(api: Served) -> None:
    row = next(line for line in ask("workers").splitlines() if line.strip().startswith("wrk_1"))
    assert row.split()[:7] == ["wrk_1", "here", "cpu", "NVIDIA", "H200", "8", "0"]
    assert "job job_1" in row


def test_a_worker_is_drained_and_taken_back(api: Served) -> None:
    assert "wrk_1 on here: job job_1, draining" in ask("drain", "wrk_1")
    assert json.loads(ask("workers", "--json"))["draining"]
    assert not json.loads(ask("undrain", "wrk_1", "--json"))["draining"]


def test_a_worker_that_is_not_there_is_a_sentence(api: Served) -> None:
    assert "no worker 'wrk_none'" in ask("drain", "wrk_none", code=1)


@pytest.mark.parametrize("state", ["queued", "running", "cancelling"])
def test_a_job_that_no_worker_can_do_says_so(state: JobState) -> None:
    missing = WaitingFor(capability="cuda", since=job().created_at)
    assert standing(job(state=state, queue_position=1, waiting_for=missing)) == f"{state}: no worker has cuda"
