"""`winnow gc`: tells what goes, and does it."""

import json
import os
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.commands.gc import gc
from app.settings import Settings
from app.storage.open import open_blobs, open_records
from tests.support.records import an_upload

COMMAND = typer.Typer()
COMMAND.command()(gc)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A model that is too old, one that is young, and bytes that nothing names."""
    monkeypatch.setenv("WINNOW_RETENTION", "model.ready=1d")
    chosen = Settings(data_dir=tmp_path / "var")
    records, blobs = open_records(chosen), open_blobs(chosen)
    for content, created_at in ((b"old", 1000.0), (b"young", time.time()), (b"stray bytes", None)):
        writer = blobs.writer()
        writer.write(content)
        sha256, size = writer.commit()
        os.utime(blobs.source(sha256), (1000.0, 1000.0))
        if created_at is not None:
            records.add_upload(an_upload(sha256, state="ready", created_at=created_at, size_bytes=size))
    return chosen


def told(*options: str) -> str:
    result = CliRunner().invoke(COMMAND, [*options])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_dry_run_tells_what_would_go_and_changes_nothing(kept: Settings) -> None:
    where = ("--data-dir", str(kept.data_dir))
    answer = json.loads(told("--dry-run", "--json", *where))
    assert [record["state"] for record in answer["records"]] == ["ready"]
    assert answer["size_bytes"] == len(b"old") + len(b"stray bytes")
    assert told("--dry-run", "--json", *where).startswith('{"records": [{')
    assert "1 records and 2 blobs would go: 14 B" in told("--dry-run", *where)
    assert json.loads(told("--json", *where)) == answer
    assert json.loads(told("--json", *where)) == {"records": [], "blobs": {}, "size_bytes": 0}
    left = [path for path in kept.blobs_dir.glob("??/*") if path.is_file()]
    assert [path.read_bytes() for path in left] == [b"young"]


def test_a_rule_that_is_none_is_told_by_its_variable(kept: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_RETENTION", "for ever")
    result = CliRunner().invoke(COMMAND, ["--data-dir", str(kept.data_dir)])
    assert result.exit_code == 2
    assert "WINNOW_RETENTION" in result.output
