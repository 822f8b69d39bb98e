"""What `run` sends before it submits."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from winnow.cli import run
from winnow.cli.commands import commands
from winnow.cli.targets import nothing_half, write_whole
from winnow.contract.job import JobRequest


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were sent; each gets its name as its id."""
    names: list[str] = []

    def send(client: object, path: Path, *more: object) -> Any:
        names.append(path.name)
        return SimpleNamespace(id=f"id of {path.name}")

    monkeypatch.setattr(run, "send_model", send)
    monkeypatch.setattr(run, "send_dataset", send)
    return names


def request(*steps: dict[str, Any], training: str) -> JobRequest:
    return JobRequest.model_validate(
        {"model": "?", "recipe": {"steps": steps}, "data": {"training": {"dataset": training}}}
    )


def test_teachers_and_students_that_are_files_are_sent_once(tmp_path: Path, sent: list[str]) -> None:
    model, teacher, student, data = (tmp_path / name for name in ("model", "teacher", "student", "data"))
    for file in (model, teacher, student, data):
        file.touch()
    steps = (
        {"kind": "distillation", "teacher": str(teacher), "student": str(student)},
        {"kind": "distillation", "teacher": str(model)},
        {"kind": "distillation", "teacher": "mdl_there"},
        {"kind": "distillation"},
        {"kind": "quantization_aware_training", "teacher": str(teacher)},
    )
    client: Any = None
    asked = run._upload_all(client, request(*steps, training=str(data)), model, [], None)
    assert sorted(sent) == ["data", "model", "student", "teacher"]
    assert asked.model == "id of model"
    assert [step.models for step in asked.recipe.steps] == [
        {"teacher": "id of teacher", "student": "id of student"},
        {"teacher": "id of model"},
        {"teacher": "mdl_there"},
        {},
        {"teacher": "id of teacher"},
    ]
    assert asked.recipe.steps[3].model_dump()["teacher"] == "original"


@pytest.mark.parametrize("field", ["teacher", "student"])
def test_a_run_begins_only_when_its_teachers_and_students_are_there(field: str, tmp_path: Path) -> None:
    step = f"distillation {field}=missing.onnx"
    result = CliRunner().invoke(
        commands, ["run", __file__, "--step", step, "--out", str(tmp_path / "x.onnx")]
    )
    assert result.exit_code == 1
    assert f"there is no file missing.onnx for {field}" in " ".join(result.stderr.split())


def test_curves_need_a_place_to_go_to() -> None:
    asked = ["run", __file__, "--step", "float16", "--curves", "/nowhere/curves.zip"]
    result = CliRunner().invoke(commands, asked)
    assert (result.exit_code, "--curves" in result.stderr) == (2, True)


def test_what_is_read_is_not_overwritten(tmp_path: Path) -> None:
    model, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    for file in (model, data):
        file.write_bytes(b"kept")
        asked = ["run", str(model), "--step", "float16", "--calibration", str(data), "--out", str(file)]
        result = CliRunner().invoke(commands, asked)
        assert (result.exit_code, "is not overwritten" in " ".join(result.stderr.split())) == (2, True)
        assert file.read_bytes() == b"kept"


@pytest.mark.parametrize("made", ["net.small.onnx", "net.small.report.json"])
def test_what_an_earlier_run_has_made_is_overwritten_only_by_force(
    made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided before anything is sent or started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.onnx").write_bytes(b"model")
    (tmp_path / made).write_bytes(b"kept")
    asked = ["run", "models/net.onnx", "--step", "float16", "--url", "http://127.0.0.1:9"]
    refused = CliRunner().invoke(commands, asked)
    assert (refused.exit_code, "--force" in refused.stderr) == (2, True)
    forced = CliRunner().invoke(commands, [*asked, "--force"])
    assert (forced.exit_code, "no Winnow service answers" in forced.stderr) == (1, True)
    assert (tmp_path / made).read_bytes() == b"kept"


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    asked = ["run", __file__, "--step", "float16", "--out", "/proc/small.onnx"]
    result = CliRunner().invoke(commands, asked)
    assert (result.exit_code, "nothing can be written into /proc" in result.stderr) == (2, True)


def test_a_result_whose_place_is_gone_goes_elsewhere_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def bring(path: Path) -> Path:
        return write_whole(path, "result")

    code = run._deliver("the result is", bring, tmp_path / "gone" / "small.onnx", force=False)
    said = " ".join(capsys.readouterr().err.split())
    place = Path(said.removesuffix(" instead").split()[-1])
    assert (code, place.read_text(), place.name) == (1, "result", "small.onnx")


def test_what_has_come_to_be_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = tmp_path / "small.onnx"
    target.write_text("kept")
    assert run._deliver("it is", lambda path: write_whole(path, "result"), target, force=False) == 1
    assert target.read_text() == "kept"
    assert run._deliver("it is", lambda path: write_whole(path, "result"), target, force=True) == 0
    assert target.read_text() == "result"


def test_nothing_half_is_left(tmp_path: Path) -> None:
    target = tmp_path / "small.onnx"

    def interrupted() -> None:
        with nothing_half([target]):
            (tmp_path / ".small.onnx.0123.part").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not [*tmp_path.iterdir()]
