"""What a model's graph computes, by client and command line."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from tests.app.api.test_values import KINDS, NAMES
from tests.support.facts import model_facts
from tests.support.served import Served, served
from winnow.cli.commands import commands
from winnow.client import Client


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    with served(tmp_path_factory.mktemp("values")) as api:
        id = str(api.http.post("/v1/models", content=bytes([8, 10, 58, 4]) + b"grap").json()["id"])
        api.inspected(id, model_facts(values=NAMES, value_kinds=KINDS).model_dump())
        yield api, id


def test_the_client_yields_every_value(model: tuple[Served, str]) -> None:
    api, id = model
    with Client(api.url) as client:
        assert [value.name for value in client.values(id)] == NAMES
        assert [value.operator for value in client.values(id, "log*")] == ["Gemm"]


def test_the_command_line_lists_them_as_a_table_and_as_lines_of_json(model: tuple[Served, str]) -> None:
    api, id = model
    shown = CliRunner().invoke(commands, ["values", id, "--url", api.url, "--name", "*put"]).stdout
    assert "input" in shown
    assert "N×3×8×8" in shown
    assert "logits" not in shown
    lines = CliRunner().invoke(commands, ["values", id, "--url", api.url, "--json"]).stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == NAMES
