"""`winnow keys`, on a database of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.access.keys import caller_by_key
from app.commands.keys import keys
from app.settings import Settings
from app.storage.open import open_records
from winnow.client import ClientError


class Asked:
    """The command on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str) -> Any:
        return CliRunner().invoke(keys, [*arguments, "--data-dir", str(self.folder)])

    def made(self, *options: str) -> dict[str, Any]:
        done = self("create", "--json", *options)
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    def listed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self("list", "--json").stdout.splitlines()]


@pytest.fixture
def ask(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def test_a_key_is_alone_on_stdout_and_administers(ask: Asked) -> None:
    done = ask("create", "--admin")
    assert done.exit_code == 0
    assert "only time" in done.stderr
    caller = caller_by_key(open_records(Settings(data_dir=ask.folder)), done.stdout.strip(), 1.0)
    assert (caller.owner, caller.scopes) == ("local", {"read", "write", "admin"})


def test_keys_are_listed_without_their_text(ask: Asked) -> None:
    made = ask.made("--owner", "team-vision", "--name", "build", "--scope", "read", "--days", "1")
    assert (made["owner"], made["scopes"], made["name"]) == ("team-vision", ["read"], "build")
    [listed] = ask.listed()
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert listed["expires_at"] > listed["created_at"]
    shown = ask("list").stdout
    assert (made["id"] in shown, made["key"] in shown) == (True, False)


def test_a_key_is_revoked_but_not_the_last_admins(ask: Asked) -> None:
    admin, other = ask.made("--admin"), ask.made()
    assert ask("revoke", other["id"]).exit_code == 0
    assert [key["revoked_at"] is None for key in ask.listed()] == [False, True]
    for wrong, why in ((admin["id"], "last admin key"), ("key_none", "winnow keys list")):
        done = ask("revoke", wrong)
        assert isinstance(done.exception, ClientError)
        assert why in str(done.exception)


@pytest.mark.parametrize(
    "options",
    [
        ["--scope", "root"],
        ["--admin", "--scope", "read"],
        ["--owner", "a b"],
        ["--owner", ""],
        ["--name", ""],
        ["--days", "-1"],
    ],
)
def test_what_is_written_wrongly_is_wrong_usage(ask: Asked, options: list[str]) -> None:
    assert ask("create", *options).exit_code == 2
    assert ask.listed() == []


def test_a_database_that_cannot_be_opened_is_a_sentence(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_DATABASE_URL", "sqlite:////nowhere/winnow.db")
    done = ask("list")
    assert isinstance(done.exception, ClientError)
    assert "WINNOW_DATABASE_URL" in str(done.exception)
