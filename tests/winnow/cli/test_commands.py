"""The commands against a real service, in this process."""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.digits import Digits
from tests.support.service import Service
from winnow.cli.commands import commands
from winnow.cli.settings import KINDS
from winnow.contract.report import Report

CALIBRATION, EVALUATION = "1000:1200", "1200:1797"


@pytest.fixture
def ask(winnow: Service, monkeypatch: pytest.MonkeyPatch) -> "Ask":
    monkeypatch.setenv("WINNOW_URL", winnow.url)
    monkeypatch.delenv("COLUMNS", raising=False)  # readline sets it, and xdist imports that
    return Ask()


class Ask:
    def __call__(self, *arguments: object, code: int = 0) -> Result:
        """The command's answer; its exit code is checked, and that nobody sees a traceback."""
        result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result


@pytest.fixture(scope="module")
def ids(winnow: Service, files: Digits, declaration: Path) -> tuple[str, str]:
    """Of the model and the dataset."""
    where, ask = ("--quiet", "--url", winnow.url), Ask()
    model = ask("upload", files.model, *where).stdout.strip()
    dataset = ask("upload", files.data, "--declaration", declaration, *where).stdout.strip()
    return model, dataset


@pytest.fixture(scope="module")
def job(winnow: Service, ids: tuple[str, str]) -> str:
    """A job that ended well."""
    model, dataset = ids
    data = ("--calibration", f"{dataset}:{CALIBRATION}", "--evaluation", f"{dataset}:{EVALUATION}")
    options = ("--step", "int8_static samples=100", "--metric", "top1", "--max-size-ratio", 1, "--rounds", 9)
    result = Ask()(
        "submit", model, *options, *data, "--name", "the [bold]one[/bold]", "--watch", "--url", winnow.url
    )
    assert "succeeded" in result.stderr
    return result.stdout.strip()


def test_a_dry_run_tells_sizes_and_makes_no_job(ask: Ask, winnow: Service, files: Digits) -> None:
    before = ask("jobs", "--json").stdout
    steps = ("--step", "float16", "--step", "int8")
    told = ask("run", files.model, *steps[:2], "--dry-run", "--url", winnow.url)
    for text in ("1 float16", "computed", "KiB", "time", "memory"):
        assert text in told.stdout, told.stdout
    assert "Sizes and multiply-accumulates are computed" in told.stderr
    assert "measured only" in ask("run", files.model, *steps[2:], "--dry-run", "--url", winnow.url).stdout
    assert ask("jobs", "--json").stdout == before


def test_a_dry_run_says_what_would_be_refused_in_options(ask: Ask, winnow: Service, files: Digits) -> None:
    told = ask("run", files.model, "--step", "int8_static", "--dry-run", "--url", winnow.url, code=1)
    assert "would be refused (missing_data): --calibration" in told.stderr


def test_upload_shows_what_was_found(ask: Ask, files: Digits, declaration: Path) -> None:
    model = ask("upload", files.model, "--name", "digits [v1]").stdout
    for fact in ("mdl_", "ready", "onnx, opset 17", "image: float32[batch, 1, 8, 8]", "Conv 2"):
        assert fact in model
    dataset = ask("upload", files.data, "--declaration", declaration).stdout
    for fact in ("dst_", "1,797", "uint8[1797, 8, 8]", "labels"):
        assert fact in dataset


def test_json_is_what_the_service_said(ask: Ask, ids: tuple[str, str], files: Digits, job: str) -> None:
    assert json.loads(ask("upload", files.model, "--json").stdout)["id"] == ids[0]
    assert json.loads(ask("jobs", "--json").stdout.splitlines()[0])["id"].startswith("job_")
    assert Report.model_validate_json(ask("report", job, "--json").stdout).outcome == "accepted"
    assert json.loads(ask("watch", job, "--json").stdout)["state"] == "succeeded"


def test_a_submitted_job_is_listed_under_its_name_as_it_is(ask: Ask, job: str) -> None:
    row = next(line for line in ask("jobs", "--state", "succeeded").stdout.splitlines() if job in line)
    assert "the [bold]one[/bold]" in row
    assert "succeeded: accepted" in row


def test_the_report_is_a_table(ask: Ask, job: str) -> None:
    shown = ask("report", job).stdout
    for part in (
        "size",
        "(batch 1, 1 thread)",
        "peak memory",
        "top1 (597 samples)",
        "max_size_ratio",
    ):
        assert part in shown


def test_logs_are_lines(ask: Ask, job: str) -> None:
    assert (
        len(ask("logs", job).stdout.splitlines()) == len(ask("logs", job, "--json").stdout.splitlines()) > 2
    )


def test_a_download_lands_where_it_was_asked_for(ask: Ask, job: str, tmp_path: Path) -> None:
    assert ask("download", job, "--out", tmp_path / "small.onnx").stdout.strip() == str(
        tmp_path / "small.onnx"
    )
    assert (tmp_path / "small.onnx").stat().st_size > 1000
    ask("download", job, "--out", tmp_path)
    assert (tmp_path / f"{job}.onnx").read_bytes() == (tmp_path / "small.onnx").read_bytes()


def test_a_job_is_pinned_exported_and_imported(ask: Ask, job: str, tmp_path: Path) -> None:
    assert f"{job} is kept" in ask("pin", job).stderr
    assert json.loads(ask("show", job, "--json").stdout)["pinned"] is True
    assert json.loads(ask("pin", "--off", job, "--json").stdout)["pinned"] is False
    file = ask("export", job, tmp_path / "job.tar").stdout.strip()
    imported = ask("import", file).stdout.strip()
    assert imported != job
    assert ask("report", imported, "--json").stdout == ask("report", job, "--json").stdout
    model = ask("download", job, "--out", tmp_path).stdout.strip()
    assert "is no tar that `winnow export` has written" in ask("import", model, code=1).stderr


def test_a_job_that_trained_nothing_has_no_curves(ask: Ask, job: str, tmp_path: Path) -> None:
    result = ask("curves", job, "--out", tmp_path / "curves.zip", code=1)
    assert "[no_artifact]" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_requirements_not_met_are_exit_code_3_with_the_reason(ask: Ask, ids: tuple[str, str]) -> None:
    result = ask(
        "submit",
        ids[0],
        "--step",
        "int8_dynamic",
        "--max-size-ratio",
        "0.001",
        "--rounds",
        9,
        "--watch",
        code=3,
    )
    assert "does not meet max_size_ratio" in result.stderr
    ask("watch", result.stdout.strip(), code=3)
    assert "NO" in ask("report", result.stdout.strip()).stdout


def test_a_run_says_3_and_still_delivers(ask: Ask, files: Digits, declaration: Path, tmp_path: Path) -> None:
    data = (f"{files.data}:{rows}" for rows in (CALIBRATION, EVALUATION))
    roles = ("--calibration", next(data), "--evaluation", next(data), "--declaration", declaration)
    options = ("--step", "int8_static", "--metric", "top1", "--max-size-ratio", "0.001", "--rounds", 9)
    told = ask("run", files.model, *options, *roles, "--out", tmp_path / "small.onnx", code=3)
    assert "max_size_ratio" in told.stderr
    assert (tmp_path / "small.onnx").exists()


def test_two_jobs_of_one_request_have_one_graph_hash(ask: Ask, ids: tuple[str, str]) -> None:
    """Nothing was required: `unchecked`, exit code 0, and the report says what to do."""
    asked = ("submit", ids[0], "--step", "int8_dynamic", "--rounds", 9, "--watch")
    told = [json.loads(ask(*asked, "--json").stdout) for _ in range(2)]
    jobs = [job["id"] for job in told]
    reports = [Report.model_validate_json(ask("report", job, "--json").stdout) for job in jobs]
    assert jobs[0] != jobs[1]
    assert {one["outcome"] for one in told} == {"unchecked"}
    assert len({one["graph_sha256"] for one in (*told, *(report.model_dump() for report in reports))}) == 1
    assert reports[0].verdict.because.split()[0] in ask("report", jobs[0]).stdout


def test_a_cancelled_job_is_exit_code_1_and_can_be_retried(ask: Ask, ids: tuple[str, str]) -> None:
    job = ask("submit", ids[0], "--step", "int8_dynamic").stdout.strip()
    ask("cancel", job)
    assert "cancelled" in ask("watch", job, code=1).stderr
    ask("retry", job)
    ask("watch", job)


def test_a_refused_job_is_a_sentence_with_its_field(ask: Ask, ids: tuple[str, str]) -> None:
    result = ask("submit", ids[0], "--step", "int8_static", code=1)
    assert "[missing_data]" in result.stderr
    assert "calibration" in result.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.onnx", None),
        ("empty.onnx", b""),
        ("page.onnx", b"<html>no model</html>"),
        ("data.npz", b"PK no zip"),
    ],
)
def test_a_file_that_is_no_model_or_dataset_is_a_sentence(
    ask: Ask, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = ask("upload", tmp_path / name, code=1)
    assert result.stderr.startswith("winnow: ")
    assert result.stdout == ""


def test_a_dataset_without_a_declaration_is_known_by_its_content(ask: Ask, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.bin.npz", x=np.zeros((4, 2), np.float32))
    path = (tmp_path / "data.bin.npz").rename(tmp_path / "data.bin")
    assert ask("upload", path, "--quiet").stdout.startswith("dst_")


@pytest.mark.parametrize(
    "arguments", [["watch", "job_nope"], ["report", "job_nope"], ["cancel", "../models"]]
)
def test_what_is_not_there_is_a_sentence(ask: Ask, arguments: list[str]) -> None:
    assert "[not_found]" in ask(*arguments, code=1).stderr


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (".", []),
        ("missing.onnx", []),
        (__file__, ["--calibration", "missing.npz:0:9"]),
    ],
)
def test_a_run_begins_only_when_its_files_are_there(ask: Ask, model: str, more: list[str]) -> None:
    said = ask("run", model, "--step", "float16", *more, code=1).stderr
    assert ("is a folder" if model == "." else "there is no file") in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "mdl_1"],
        ["submit", "mdl_1", "--step", "int4"],
        ["upload"],
        ["upload", "x.npz", "--declaration", "missing.json"],
        ["worker", "--queue", "lunch"],
        ["jobs", "--state", "lost"],
        ["serve", "--port", "70000"],
        ["run", "model.onnx", "--step", "float16", "--out", "/nowhere/small.onnx"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_2(ask: Ask, arguments: list[str]) -> None:
    assert "Error" in ask(*arguments, code=2).stderr


def test_a_failed_job_shows_its_problem(ask: Ask, ids: tuple[str, str]) -> None:
    limited = ("--step", "no_op seconds=60", "--limit-seconds", 1, "--watch")
    watched = ask("submit", ids[0], *limited, code=1)
    job = watched.stdout.strip()
    told = json.loads(ask("show", job, "--json").stdout)["problem"]
    assert (told["code"], told["field"]) == ("time_limit_exceeded", "limits.seconds")
    in_options = told["detail"].replace("limits.seconds", "--limit-seconds")
    for shown in (watched.stderr, ask("report", job, code=1).stderr, ask("show", job).stdout):
        assert in_options in " ".join(shown.split())
        assert "[time_limit_exceeded]" in shown
        assert "limits.seconds" not in shown
    assert job in watched.stderr
    assert json.loads(ask("report", job, "--json", code=1).stdout)["code"] == told["code"]
    assert json.loads(ask("watch", job, "--json", code=1).stdout)["state"] == "failed"


def test_a_failed_run_answers_its_problem_as_json(ask: Ask, files: Digits, tmp_path: Path) -> None:
    limited = ("--step", "no_op seconds=60", "--limit-seconds", 1, "--out", tmp_path / "small.onnx", "--json")
    problem = json.loads(ask("run", files.model, *limited, code=1).stdout)
    assert (problem["code"], problem["field"]) == ("time_limit_exceeded", "--limit-seconds")
    assert [*tmp_path.iterdir()] == []


def test_what_is_no_longer_needed_is_deleted(ask: Ask, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(6, dtype=np.float32))
    dataset = ask("upload", tmp_path / "x.npz", "--quiet").stdout.strip()
    assert "deleted" in ask("delete", dataset).stderr
    assert json.loads(ask("show", dataset, "--json", code=1).stdout)["code"] == "not_found"
    assert "mdl_" in ask("delete", "resnet20", code=2).stderr


@pytest.mark.parametrize("command", ["models", "datasets", "jobs", "show", "logs", "report", "watch"])
def test_every_answer_comes_as_json(ask: Ask, job: str, ids: tuple[str, str], command: str) -> None:
    arguments = [] if command in ("models", "datasets", "jobs") else [job]
    text = ask(command, *arguments, "--json").stdout
    lines = text.splitlines() if command in ("models", "datasets", "jobs", "logs") else [text]
    assert all(json.loads(line) for line in lines)


def test_every_command_that_answers_takes_json(ask: Ask) -> None:
    silent = {"serve", "worker", "export", "mcp"}
    for command in commands.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        assert ("--json" in ask(name, "--help").stdout) == (name not in silent), name


def test_problems_come_as_json(ask: Ask, ids: tuple[str, str]) -> None:
    problem = json.loads(ask("submit", ids[0], "--step", "int8_static", "--json", code=1).stdout)
    assert (problem["code"], problem["field"]) == ("missing_data", "--calibration")
    assert json.loads(ask("upload", "gone.onnx", "--json", code=1).stdout)["code"] == "unusable_file"
    assert json.loads(ask("steps", "int9", "--json", code=2).stdout)["code"] == "usage"


def test_what_the_service_refuses_is_told_in_options(ask: Ask, ids: tuple[str, str]) -> None:
    model, dataset = ids
    calibration = ("--calibration", f"{dataset}:1000:9000")
    refused = ask("submit", model, "--step", "int8_static", *calibration, code=1).stderr
    assert "--calibration" in refused
    assert "[slice_beyond_data]" in refused
    refused = ask("submit", model, "--step", "float16 exclude=nothing", code=1).stderr
    assert "--step float16 exclude" in refused
    assert "recipe.steps" not in refused


def test_steps_are_shown_as_the_contract_has_them(ask: Ask) -> None:
    shown = ask("steps").stdout
    assert all(kind in shown for kind in KINDS)
    for kind, step in KINDS.items():
        described = json.loads(ask("steps", kind, "--json").stdout)[kind]
        assert [*described["settings"]] == [name for name in step.model_fields if name != "kind"]
        table = ask("steps", kind).stdout
        assert all(name in table for name in described["settings"])
    assert json.loads(ask("steps", "int8_static", "--json").stdout)["int8_static"]["needs"] == ["calibration"]
    assert "Did you mean int8_static?" in ask("steps", "int8_statik", code=2).stderr


def test_the_version_is_said(ask: Ask) -> None:
    assert ask("--version").stdout.strip() == f"winnow {version('winnow-client')}"


def test_a_misspelled_variable_is_told(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_DATADIR", "/tmp")
    assert "Did you mean WINNOW_DATA_DIR?" in ask("steps").stderr


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["serve", "--no-workers", "--workers", "2"], "--workers"),
        (["run", __file__, "--step", "float16", "--url", "http://x", "--data-dir", "y"], "--data-dir"),
        (["run", __file__, "--step", "float16", "--declaration", __file__], "--declaration"),
        (["upload", __file__, "--model", "--declaration", __file__], "--declaration"),
        (["upload", __file__, "--dataset", "--input", "x:float32[1]"], "--input"),
        (["submit", "mdl_1", "--step", "float16", "--map", "a=b"], "--map"),
    ],
)
def test_options_without_effect_are_refused(ask: Ask, arguments: list[str], option: str) -> None:
    assert f"{option} has no effect" in ask(*arguments, code=2).stderr


@pytest.mark.parametrize("arguments", [[__file__], ["mdl_1", "--calibration", f"{__file__}:0:9"]])
def test_a_file_where_an_id_belongs_is_told_from_a_missing_one(ask: Ask, arguments: list[str]) -> None:
    assert "is a file" in ask("submit", *arguments, "--step", "float16", code=2).stderr


def test_every_command_helps_with_an_example(ask: Ask) -> None:
    names = [
        command.name or command.callback.__name__
        for command in commands.registered_commands
        if command.callback
    ]
    assert {"run", "serve", "worker", "upload", "submit", "watch", "report", "download", "curves"} <= set(
        names
    )
    for name in names:
        assert f"winnow {name}" in ask(name, "--help").stdout


def test_models_and_datasets_are_listed(ask: Ask, ids: tuple[str, str]) -> None:
    assert ids[0] in ask("models").stdout
    assert ids[1] in ask("datasets").stdout
