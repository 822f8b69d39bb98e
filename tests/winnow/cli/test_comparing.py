"""Jobs beside each other as a table; from an API on which the test plays the worker."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.served import Served, served
from tests.support.shown import World, world
from winnow.cli.commands import commands
from winnow.client import ServiceProblem


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, World]]:
    with served(tmp_path_factory.mktemp("compared")) as api:
        yield api, world(api)


@pytest.fixture(autouse=True)
def here(shown: tuple[Served, World], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WINNOW_URL", shown[0].url)


def ask(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(commands, ["compare", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def test_jobs_are_rows_of_a_table(shown: tuple[Served, World]) -> None:
    table = ask(*shown[1].finished)
    first, second = (line.strip() for line in table.splitlines() if "finetune" in line)
    assert first.startswith("net 2")
    assert second.startswith("net 3")
    assert "4.9 KiB" in first
    assert "5.9 KiB" in second
    assert (first.endswith("yes"), second.endswith("yes")) == (True, False)


def test_json_is_the_answer_of_the_api(shown: tuple[Served, World]) -> None:
    api, made = shown
    asked = api.http.get("/v1/compare", params={"jobs": ",".join(made.finished)})
    assert json.loads(ask(*made.finished, "--json")) == asked.json()


def test_one_job_is_not_compared_and_an_unfinished_one_is_a_problem(shown: tuple[Served, World]) -> None:
    finished = shown[1].finished[0]
    ask(finished, code=2)
    result = CliRunner().invoke(commands, ["compare", finished, shown[1].queued])
    assert isinstance(result.exception, ServiceProblem) or result.exit_code == 1
