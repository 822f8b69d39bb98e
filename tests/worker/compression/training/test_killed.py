"""A training whose process is killed, through the library as a job runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.digits import digits
from tests.support.killed import KILLED_AFTER, train
from worker.compression.result.report import Report

ROOT = Path(__file__).parents[4]


def trained(report: Report) -> object:
    """What the report says of the training, but for how fast it was."""
    return {**report.steps[-1].details, "samples_per_second": None}


def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_file(tmp_path: Path) -> None:
    """Bit by bit, with as many threads; it does not begin at the first step again, and its curves go on."""
    files = digits(tmp_path)
    whole = train(files, tmp_path / "whole")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.support.killed", str(tmp_path), str(tmp_path / "killed")]
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    assert list((tmp_path / "killed" / "checkpoints").glob("*-unfinished"))
    told: list[str] = []
    again = train(files, tmp_path / "killed", told)
    assert f"Going on after step {KILLED_AFTER} of 16, where an earlier attempt ended." in told
    assert again.graph_sha256 == whole.graph_sha256
    assert trained(again) == trained(whole)
    assert len(list((tmp_path / "killed" / "curves" / "01-finetune").iterdir())) == 2
    assert not list((tmp_path / "killed" / "checkpoints").glob("*-unfinished"))


@pytest.fixture(autouse=True)
def _where_the_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
