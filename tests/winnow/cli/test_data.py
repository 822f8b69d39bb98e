"""One dataset for everything, on a real service: proposed, previewed, split; a folder is packed on the way."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.digits import Digits, digits
from tests.support.pictures import encoded
from tests.support.service import Service
from winnow.cli.commands import commands
from winnow.client import Client
from winnow.contract.split import rows_of


@pytest.fixture(scope="module")
def client(winnow: Service) -> Iterator[Client]:
    with Client(winnow.url) as client:
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """Data that nobody else has declared."""
    return digits(tmp_path_factory.mktemp("digits"), rows=1200)


@pytest.fixture(scope="module")
def folder(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures for each class."""
    top = tmp_path_factory.mktemp("pictures")
    with np.load(files.data) as archive:
        for row, (image, label) in enumerate(zip(archive["images"][:160], archive["labels"], strict=False)):
            (top / str(label)).mkdir(exist_ok=True)
            (top / str(label) / f"{row}.png").write_bytes(encoded((image * 15).astype(np.uint8)))
    return top


def run(client: Client, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    variables = {"WINNOW_URL": client.url, "COLUMNS": "300"}
    result = CliRunner().invoke(commands, [str(it) for it in arguments], env=variables)
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_of_pictures_is_enough(
    client: Client, files: Digits, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proposed, used because it is sure, split, judged on what nothing has seen."""
    monkeypatch.chdir(tmp_path)
    arguments = ("--step", "int8_static", "--data", folder, "--metric", "top1", "--rounds", "9")
    code, _, told = run(client, "run", files.model, *arguments)
    assert code == 0, told
    assert "inputs.image.scale" in told
    assert "UNSURE" not in told
    assert (tmp_path / "model.small.onnx").exists()
    job = next(client.jobs())
    report = client.report(job.id)
    assert report.split is not None
    assert report.split.counts == {"training": 80, "selection": 40, "final": 40, "unused": 0}
    assert len(rows_of(report.split, "final")) == report.quality[0].samples == 40
    assert report.quality[0].held_out
    assert report.quality[0].before > 0.9
    assert job.data.dataset is not None


def test_what_is_unsure_is_written_down_and_not_used(
    client: Client, files: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with np.load(files.data) as archive:
        np.savez(tmp_path / "bare.npz", images=archive["images"])
    jobs = len(list(client.jobs()))
    code, _, told = run(client, "run", files.model, "--step", "int8_static", "--data", "bare.npz")
    assert code == 2
    assert "run again with --declaration bare.declaration.json" in told
    declared = json.loads((tmp_path / "bare.declaration.json").read_text())
    assert declared["inputs"]["image"]["array"] == "images"
    assert len(list(client.jobs())) == jobs


def test_a_proposal_and_a_preview_can_be_asked_for(client: Client, files: Digits, tmp_path: Path) -> None:
    model = client.upload_model(files.model).id
    copy = shutil.copy(files.data, tmp_path / "digits.npz")
    dataset = client.upload_dataset(copy, wait=False).id
    code, declared, told = run(client, "propose", model, dataset, "--out", tmp_path / "d.json")
    assert code == 0, told
    assert json.loads(declared) == json.loads((tmp_path / "d.json").read_text())
    declaration = json.loads(declared)
    assert declaration["inputs"]["image"] == {"array": "images", "add_axis": 1, "scale": 1 / 16}
    assert client.declare(dataset, declaration).state == "ready"
    code, shown, told = run(client, "preview", model, dataset, "--rows", "2", "--out", tmp_path / "pictures")
    assert code == 0, told
    assert "float32[1, 8, 8]" in shown
    assert "rows 0, 1199 of 1,200" in shown
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {
        "input-0-row-0.png",
        "input-0-row-1199.png",
    }


def test_one_dataset_and_roles_do_not_go_together(client: Client) -> None:
    options = ("--step", "int8_static", "--data", "dst_1", "--calibration", "dst_2")
    code, _, told = run(client, "submit", "mdl_1", *options)
    assert code == 2
    assert "--data is split into all roles" in " ".join(told.split())


def test_several_datasets_are_for_run(client: Client) -> None:
    code, _, told = run(client, "submit", "mdl_1", "--step", "float16", "--data", "dst_1", "--data", "dst_2")
    assert code == 2
    assert "--data takes one dataset here" in " ".join(told.split())
