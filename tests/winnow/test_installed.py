"""The client for itself: built, and installed into an environment that has what it requires and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import qdq_nets

pytestmark = pytest.mark.integration

WINNOW = Path(__file__).parents[2] / "winnow"
HEAVY = {
    "fastapi",
    "starlette",
    "uvicorn",
    "celery",
    "kombu",
    "redis",
    "sqlalchemy",
    "numpy",
    "onnx",
    "torch",
}
PROJECT = """
from winnow import Client, Job, ServiceProblem

def compress(path: str) -> float:
    with Client("http://127.0.0.1:9") as client:
        model = client.upload_model(path)
        job: Job = client.submit(model=model.id, recipe={"steps": [{"kind": "int8_dynamic"}]})
        wrong: str = client.report(job.id).size_bytes.after  # type: ignore[assignment]
        return client.report(job.id).size_bytes.after

def code(problem: ServiceProblem) -> str:
    return problem.problem.code
"""
"""mypy's strict mode also reports a `type: ignore` that nothing needs: were it all Any, this would fail."""

ONE_BY_ONE = """
import contextlib, io, json, sys
from winnow.cli import main

def ended(arguments):
    sys.argv = ["winnow", *arguments]
    with contextlib.redirect_stderr(io.StringIO()) as text:
        try:
            main()
        except SystemExit as ended:
            return ended.code, text.getvalue()

print(json.dumps([ended(each) for each in json.loads(sys.argv[1])]))
"""
"""Runs commands in one process; prints the exit code and what stood on stderr of each."""


def required(requirements: list[str]) -> Iterator[str]:
    """Yield the distributions that pip would bring, as they are installed here."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)
            yield from required(distribution(requirement.name).requires or [])


@pytest.fixture(scope="module")
def brought() -> set[str]:
    return set(required(tomllib.loads((WINNOW / "pyproject.toml").read_text())["project"]["dependencies"]))


@pytest.fixture(scope="module")
def installed(brought: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment's commands; what the client requires is linked into it, no index is asked."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(
        WINNOW, folder / "winnow", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", folder, folder / "winnow"],
        check=True,
    )
    [wheel] = folder.glob("winnow_client-*.whl")
    subprocess.run([*pip, "--python", folder / "venv", "install", *offline, wheel], check=True)
    [packages] = folder.glob("venv/lib/python*/site-packages")
    for name in brought:
        for top in {file.parts[0] for file in distribution(name).files or []} - {"..", "__pycache__"}:
            (packages / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder / "venv" / "bin"


def call(*command: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([*command], cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_client_brings_no_web_server_no_queue_and_no_torch(brought: set[str]) -> None:
    assert {"httpx", "pydantic", "rich", "typer", "certifi"} <= brought
    assert not brought & HEAVY
    assert len(brought) < 25


def test_its_commands_work_and_those_of_the_service_say_what_to_install(
    installed: Path, tmp_path: Path
) -> None:
    shown = call(installed / "winnow", "--help", cwd=tmp_path)
    assert (shown.returncode, "serve" in shown.stdout, "upload" in shown.stdout) == (0, True, True)
    (tmp_path / "model.onnx").write_bytes(b"model")
    run = ["run", "model.onnx", "--step", "float16"]
    of_the_service = [["serve", "--port", "9000"], ["worker"], ["keys", "create", "--admin"], run]
    commands = json.dumps([*of_the_service, [*run, "--url", "http://127.0.0.1:9"]])
    ended = call(installed / "python", "-c", ONE_BY_ONE, commands, cwd=tmp_path)
    *without, away = json.loads(ended.stdout)
    assert all(code == 1 and "pip install ./winnow '.[worker]'" in text for code, text in without), without
    assert (away[0], "no Winnow service answers at http://127.0.0.1:9" in away[1]) == (1, True), away


def test_all_that_it_names_can_be_imported_and_the_contract_does_without_http(
    installed: Path, tmp_path: Path
) -> None:
    code = "import sys, winnow.contract.job; assert 'httpx' not in sys.modules; from winnow import *; print(Client)"
    ended = call(installed / "python", "-c", code, cwd=tmp_path)
    assert (ended.returncode, "winnow.client.client.Client" in ended.stdout) == (0, True), ended.stderr


def test_it_brings_the_rules_of_targets_along(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(qdq_nets.float_conv().SerializeToString())
    ended = call(installed / "winnow", "check", "model.onnx", cwd=tmp_path)
    assert (ended.returncode, "nnapi: " in ended.stdout) == (0, True), ended.stderr


def test_a_project_of_its_own_sees_its_types(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    options = ["--strict", "--python-executable", installed / "python", "--cache-dir", os.devnull]
    ended = call(sys.executable, "-m", "mypy", *options, "project.py", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
