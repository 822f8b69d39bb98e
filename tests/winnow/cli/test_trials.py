"""What a search has tried, as a table; from an API whose study and workers the test plays."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.storage.ids import study_of
from app.storage.records import Decision, Study
from tests.support.asked import trial
from tests.support.facts import model_facts
from tests.support.records import a_trial, an_upload
from tests.support.served import Served, served
from winnow.cli.commands import commands
from winnow.cli.recipe_text import recipe_text
from winnow.client import Client, ServiceProblem
from winnow.contract.recipe import Recipe

OPEN = {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]}
RESULT = {
    "size_bytes": 1536,
    "speedup": {"value": 2.0, "interval": [1.9, 2.1]},
    "metrics": {"top1": {"before": 0.9, "after": 0.89, "drop": 0.01, "interval": [0.0, 0.02]}},
    "requirements": [],
}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("COLUMNS", "200")
    with served(tmp_path / "data") as running:
        monkeypatch.setenv("WINNOW_URL", running.url)
        yield running


@pytest.fixture
def job(api: Served) -> str:
    """A search with a trial that has finished, one that failed and one that waits."""
    records = api.parts.records
    model, _ = records.add_upload(an_upload())
    api.inspected(model.id, model_facts().model_dump())
    with Client(api.url) as client:
        id = client.submit(model=model.id, recipe=OPEN, search={"budget": {"trials": 8}}).id
    search, study = records.job("local", id), api.claim(study_of(id))
    assert search is not None
    assert isinstance(study, Study)
    trials = [a_trial(search, number, max_attempts=1) for number in range(3)]
    assert records.settle(study.id, study.attempt, time.time(), study.news, Decision(add=trials))
    writer = api.parts.blobs.writer()
    writer.write(b"small")
    made = {"artifact_sha256": writer.commit()[0], "artifact_bytes": 5, "worker": "host-1"}
    api.finish(trials[0].id, state="finished", result=RESULT, **made)
    lost = api.claim(trials[1].id)
    assert records.release(lost.id, lost.attempt, time.time())
    return id


def ask(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(commands, ["trials", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout


def test_trials_are_a_table(job: str) -> None:
    _, _, _, *rows = ask(job).splitlines()
    done, failed, waits = (row.split() for row in rows if row.strip())
    assert done[:5] == ["0", "finished", "int8_dynamic", "1.5", "KiB"]
    assert "2.00× [1.90, 2.10]" in rows[0]
    assert "top1 1.00 % [0.00, 2.00]" in rows[0]
    assert done[-4:] == ["yes", "yes", "0:00", "host-1"]
    assert failed[:4] == ["1", "failed:", "worker_lost", "int8_dynamic"]
    assert waits[:3] == ["2", "waiting", "int8_dynamic"]


def test_the_pareto_set_and_one_state_are_listed(job: str) -> None:
    lines = [json.loads(line) for line in ask(job, "--pareto", "--json").splitlines()]
    assert [(line["number"], line["pareto"]) for line in lines] == [(0, True)]
    lines = [json.loads(line) for line in ask(job, "--state", "waiting", "--json").splitlines()]
    assert [line["number"] for line in lines] == [2]


def test_the_model_of_a_trial_is_fetched(job: str, tmp_path: Path) -> None:
    assert ask(job, "--download", 0, "--out", tmp_path).strip() == str(tmp_path / f"{job}-0.onnx")
    assert (tmp_path / f"{job}-0.onnx").read_bytes() == b"small"
    answer = json.loads(ask(job, "--download", 0, "--out", tmp_path / "it.onnx", "--json"))
    assert answer == {"job": job, "trial": 0, "file": str(tmp_path / "it.onnx")}
    for number, code in ((2, "no_artifact"), (7, "not_found")):
        missing = json.loads(ask(job, "--download", number, "--out", tmp_path, "--json", code=1))
        assert missing["code"] == code


def test_the_client_filters_and_fetches(api: Served, job: str, tmp_path: Path) -> None:
    with Client(api.url) as client:
        assert [it.number for it in client.trials(job)] == [0, 1, 2]
        assert [it.number for it in client.trials(job, pareto=False, state="failed")] == [1]
        assert client.download_trial(job, 0, tmp_path, compressed=True).read_bytes() == b"small"
        with pytest.raises(ServiceProblem) as caught:
            client.trial_report(job, 0)
        assert caught.value.code == "no_artifact"
        counts = client.job(job).trials
        assert counts is not None
        assert (counts.finished, counts.failed, counts.waiting) == (1, 1, 1)


STEPS: list[dict[str, Any]] = [
    {"kind": "int8_static", "calibration": "entropy"},
    {"kind": "weight_only", "bits": 3, "exclude": ["*/head/*"]},
]


def test_a_recipe_is_written_without_what_is_the_default() -> None:
    text = recipe_text(Recipe.model_validate({"steps": STEPS}))
    assert text == "int8_static calibration=entropy, weight_only bits=3 exclude=*/head/*"
    assert recipe_text(trial(recipe=None).recipe) == "the upload"
