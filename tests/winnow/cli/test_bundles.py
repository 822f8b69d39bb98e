"""A finished job's card and bundle, and the bundle done again, on a real service."""

import json
import os
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from huggingface_hub import ModelCard
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits
from tests.support.served import listening
from tests.support.service import Service
from winnow.cli.commands import commands
from winnow.client import Client

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def finished(winnow: Service, files: Digits) -> str:
    """The id of a job that quantized the digits."""
    with Client(winnow.url) as client:
        model, data = client.upload_model(files.model), client.upload_dataset(files.data, DECLARATION)
        job = client.submit(
            model=model.id,
            recipe={"steps": [{"kind": "int8_static", "samples": 64}]},
            data={
                "calibration": {"dataset": data.id, "slice": CALIBRATION},
                "evaluation": {"dataset": data.id, "slice": EVALUATION},
            },
            evaluation={"metric": "top1"},
            benchmark={"rounds": 9},
        )
        return client.wait(job.id).id


@pytest.fixture(scope="module")
def bundle(winnow: Service, finished: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "digits.zip"
    done = ask("bundle", finished, "--out", str(path), "--url", winnow.url)
    assert (done.exit_code, done.stdout.strip()) == (0, str(path))
    return path


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


def test_a_card_is_printed_as_it_is(winnow: Service, finished: str) -> None:
    card = ask("card", finished, "--url", winnow.url).stdout
    assert card.startswith('---\nlibrary_name: "onnx"\n')
    assert "| top1 | 597 |" in card


def test_the_page_of_a_report_is_written_to_a_file(winnow: Service, finished: str, tmp_path: Path) -> None:
    done = ask("report", finished, "--html", "--out", str(tmp_path), "--url", winnow.url)
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / f"{finished}-report.html"))
    assert (tmp_path / f"{finished}-report.html").read_text().startswith("<!doctype html>")
    assert ask("report", finished, "--out", str(tmp_path), "--url", winnow.url).exit_code == 2


def test_a_bundle_replays_to_the_same_graph(winnow: Service, bundle: Path, files: Digits) -> None:
    asked = [str(bundle), str(files.model), "--data", str(files.data), "--url", winnow.url]
    done = ask("replay", *asked, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["same_graph"]
    assert told["graph_sha256"]["then"] == told["graph_sha256"]["now"]
    assert {measure["name"]: measure["agrees"] for measure in told["measures"]}["top1"]


def test_a_replay_needs_the_same_model_and_the_data(bundle: Path, files: Digits) -> None:
    other = ask("replay", str(bundle), str(files.data), "--data", str(files.data))
    assert (other.exit_code, "the bundle was made of" in " ".join(other.stderr.split())) == (1, True)
    without = ask("replay", str(bundle), str(files.model))
    assert (without.exit_code, "--calibration FILE" in " ".join(without.stderr.split())) == (2, True)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("recipe.json", b'{"winnow": 1}', "recipe.json.version"),
        ("recipe.json", None, "it has no recipe.json"),
        ("report.json", b"[]", "report.json is no report"),
        ("model.onnx", b"another", "not the one that its report tells of"),
        ("../outside", b"x", "outside"),
        ("notes.txt", b"x", "'notes.txt' is in it"),
    ],
)
def test_a_bundle_that_was_changed_is_refused(
    bundle: Path, files: Digits, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(bundle) as read, zipfile.ZipFile(changed, "w") as written:
        for each in read.namelist():
            if each != name:
                written.writestr(each, read.read(each))
        if content is not None:
            written.writestr(name, content)
    done = ask("replay", str(changed), str(files.model), "--data", str(files.data))
    assert done.exit_code == 1
    assert why in " ".join(done.stderr.split())


def test_what_is_no_zip_is_told(files: Digits, tmp_path: Path) -> None:
    shutil.copy(files.model, tmp_path / "bundle.zip")
    done = ask("replay", str(tmp_path / "bundle.zip"), str(files.model))
    assert (done.exit_code, "is no bundle of a job" in " ".join(done.stderr.split())) == (1, True)


@pytest.fixture(scope="module")
def artifact(bundle: Path) -> Path:
    with zipfile.ZipFile(bundle) as archive:
        return Path(archive.extract("model.onnx", bundle.parent))


@pytest.fixture(scope="module")
def unfit(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' classifier with its last layer set to zero."""
    model = onnx.load(files.model)
    (weight,) = (each for each in model.graph.initializer if each.name == "w")
    weight.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(weight)), "w"))
    path = tmp_path_factory.mktemp("unfit") / "unfit.onnx"
    onnx.save(model, path)
    return path


def test_a_gate_lets_the_artifact_itself_through(bundle: Path, artifact: Path, files: Digits) -> None:
    limits = ["--max-metric-drop", "0", "--max-size-growth", "0"]
    done = ask("gate", str(artifact), "--against", str(bundle), "--data", str(files.data), *limits, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(check["name"], check["then"] == check["now"]) for check in told["checks"]] == [
        ("drop of top1", True),
        ("size", True),
    ]


def test_a_gate_stops_what_is_worse_and_says_so_in_markdown(
    bundle: Path, unfit: Path, files: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    pair = ["--data", str(files.data), "--baseline", str(files.model)]
    limits = ["--max-metric-drop", "0.01", "--max-size-growth", "0.1"]
    done = ask("gate", str(unfit), "--against", str(bundle), *pair, *limits)
    assert done.exit_code == 3, done.stderr
    text = (tmp_path / "summary.md").read_text()
    assert "### Winnow gate: failed" in text
    assert text.count("❌") == 2
    assert "paired, 95 %" in text


def test_a_gate_says_what_it_needs(bundle: Path, artifact: Path, files: Digits) -> None:
    asked = ["gate", str(artifact), "--against", str(bundle)]
    for options, why in (
        ([], "--max-metric-drop"),
        (["--max-metric-drop", "0.1"], "needs --data"),
        (["--min-speedup", "1"], "needs --baseline"),
    ):
        done = ask(*asked, *options)
        assert (done.exit_code, why in " ".join(done.stderr.split())) == (2, True)
    other = ask("gate", str(artifact), "--against", str(files.model), "--max-size-growth", "1")
    assert (other.exit_code, "is no report of a job" in other.stderr) == (1, True)


def test_a_result_is_pushed_into_a_folder_as_hugging_face_has_it(
    winnow: Service, finished: str, tmp_path: Path
) -> None:
    done = ask("push", finished, str(tmp_path / "repository"), "--url", winnow.url)
    assert done.exit_code == 0, done.stderr
    names = {path.name for path in (tmp_path / "repository").iterdir()}
    assert names == {
        "README.md",
        "model.onnx",
        "report.json",
        "page.html",
        "recipe.json",
        "bom.cdx.json",
        ".gitattributes",
    }
    assert ModelCard.load(tmp_path / "repository" / "README.md").data["library_name"] == "onnx"
    again = ask("push", finished, str(tmp_path / "repository"), "--url", winnow.url)
    assert (again.exit_code, "--force" in again.stderr) == (1, True)
    assert ask("push", finished, str(tmp_path / "repository"), "--url", winnow.url, "--force").exit_code == 0


def test_a_result_is_pushed_to_an_mlflow_server(bundle: Path, tmp_path: Path) -> None:
    if (program := os.environ.get("WINNOW_TEST_MLFLOW")) is None:
        pytest.skip("WINNOW_TEST_MLFLOW names no `mlflow`: it is installed in an environment of its own")
    with mlflow_server(program, tmp_path) as address:
        done = ask("push", str(bundle), address, "--experiment", "digits")
        assert done.exit_code == 0, done.stderr
        asked = {"run_id": done.stdout.strip()}
        run = httpx.get(f"{address}/api/2.0/mlflow/runs/get", params=asked).json()["run"]
        assert run["info"]["status"] == "FINISHED"
        assert {"top1", "top1_before", "size_bytes"} <= {each["key"] for each in run["data"]["metrics"]}
        files = httpx.get(f"{address}/api/2.0/mlflow/artifacts/list", params=asked).json()["files"]
        assert {each["path"] for each in files} >= {"model.onnx", "README.md", "recipe.json"}


@contextmanager
def mlflow_server(program: str, folder: Path) -> Iterator[str]:
    with listening() as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    options = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--workers", "1"]
    options += ["--artifacts-destination", str(folder / "artifacts"), "--port", address.rpartition(":")[2]]
    with subprocess.Popen([program, "server", *options], start_new_session=True) as process:
        try:
            for _ in range(600):
                with suppress(httpx.HTTPError):
                    if httpx.get(f"{address}/health").is_success:
                        break
                time.sleep(0.2)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
