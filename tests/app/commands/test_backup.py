"""`winnow backup` and `winnow restore`, on a service that is at work."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest
from typer.testing import CliRunner, Result

from app.embedded import running
from app.settings import Settings
from app.storage.open import open_blobs, open_records
from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts
from tests.support.served import Served, served
from winnow.cli.commands import commands


def ask(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def api(data: Path) -> Iterator[Served]:
    settings = Settings(data_dir=data)
    with served(data, open_records(settings), open_blobs(settings)) as serving:
        yield serving


def compressed(api: Served, number: int) -> tuple[str, bytes]:
    """A job that has succeeded, and its artifact."""
    model = str(api.http.post("/v1/models", content=ONNX.replace(b"grap", b"%04d" % number)).json()["id"])
    api.inspected(model, model_facts().model_dump())
    asked = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}}
    job = str(api.http.post("/v1/jobs", json=asked).json()["id"])
    artifact = b"artifact %d" % number * 1000
    writer = api.parts.blobs.writer()
    writer.write(artifact)
    sha256, size = writer.commit()
    made = {"artifact_sha256": sha256, "artifact_bytes": size}
    api.finish(job, state="succeeded", outcome="unchecked", **made)
    return job, artifact


def test_every_artifact_comes_back_byte_by_byte_from_a_backup_that_was_made_meanwhile(
    api: Served, tmp_path: Path, data: Path
) -> None:
    made: dict[str, bytes] = {}
    some, enough = Event(), Event()

    def work() -> None:
        for number in count():
            job, artifact = compressed(api, number)
            made[job] = artifact
            if number == 3:
                some.set()
            if enough.is_set():
                return

    worker = Thread(target=work)
    worker.start()
    assert some.wait(60)
    before = set(made)
    told = json.loads(ask("backup", tmp_path / "backup", "--data-dir", data, "--json").stdout)
    enough.set()
    worker.join(60)
    back = tmp_path / "back"
    assert "are back" in ask("restore", tmp_path / "backup", "--data-dir", back).stderr
    settings = Settings(data_dir=back)
    with served(back, open_records(settings), open_blobs(settings)) as again:
        jobs = {
            str(job["id"]) for job in again.http.get("/v1/jobs?limit=200&state=succeeded").json()["items"]
        }
        assert before <= jobs <= set(made)
        assert told["rows"]["jobs"] >= len(jobs)
        for job in jobs:
            assert again.http.get(f"/v1/jobs/{job}/artifact").content == made[job]


def test_a_folder_that_is_no_services_is_a_sentence_and_stays_empty(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "--data-dir" in ask("backup", tmp_path / "backup", "--data-dir", empty, code=1).stderr
    assert [*empty.iterdir()] == []
    assert "holds no backup" in ask("restore", tmp_path / "none", "--data-dir", empty, code=1).stderr
    assert [*empty.iterdir()] == []


def test_what_runs_is_not_restored_into(api: Served, tmp_path: Path, data: Path) -> None:
    compressed(api, 1)
    ask("backup", tmp_path / "backup", "--data-dir", data)
    other = tmp_path / "other"
    with running(Settings(data_dir=other, port=0), workers=0):
        assert "already runs" in ask("restore", tmp_path / "backup", "--data-dir", other, code=1).stderr
    assert "Name an empty one" in ask("restore", tmp_path / "backup", "--data-dir", data, code=1).stderr
