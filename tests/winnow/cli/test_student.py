"""A student by the command line, of a real service."""

import json

import pytest
from typer.testing import CliRunner

from tests.support.digits import Digits
from tests.support.service import Service
from winnow.cli.commands import commands
from winnow.client import Client


@pytest.fixture(scope="module")
def parent(winnow: Service, files: Digits) -> str:
    with Client(winnow.url) as client:
        return client.upload_model(files.model).id


def test_it_is_made_and_shown(winnow: Service, parent: str) -> None:
    asked = ["student", parent, "--target", "parameters", "--amount", "0.5", "--url", winnow.url]
    shown = CliRunner().invoke(commands, asked)
    assert shown.exit_code == 0, shown.output
    assert parent in shown.stdout
    made = json.loads(CliRunner().invoke(commands, [*asked, "--json"]).stdout)
    assert (made["state"], made["parent"]) == ("ready", parent)
    assert CliRunner().invoke(commands, [*asked, "--quiet"]).stdout == f"{made['id']}\n"


def test_what_cannot_be_made_is_a_sentence_with_numbers(winnow: Service, parent: str) -> None:
    asked = ["student", parent, "--width", "0.3", "--url", winnow.url]
    refused = CliRunner().invoke(commands, asked)
    assert refused.exit_code == 1
    assert "width 0.3 would leave" in refused.output
