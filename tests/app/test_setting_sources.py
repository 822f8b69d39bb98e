"""Settings by files: `WINNOW_…_FILE` for one value, `WINNOW_CONFIG` for several."""

from pathlib import Path

import pytest
import typer

from app.commands.settings import settings
from app.settings import Settings
from app.workers import worker_environment
from winnow.cli.variables import unknown_variables

SECRET = "postgresql+psycopg://winnow:hunter2@db/winnow"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "database_url"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("WINNOW_DATABASE_URL_FILE", str(file))
    return file


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "winnow.toml"
    monkeypatch.setenv("WINNOW_CONFIG", str(file))
    return file


def test_a_value_stands_in_the_file_that_its_variable_names(secret: Path) -> None:
    assert Settings().database_url == SECRET


def test_the_settings_file_has_values_of_their_own_types(config: Path) -> None:
    config.write_text('port = 9000\nallow_torchscript = true\nlease_seconds = 5\ndata_dir = "/srv/winnow"\n')
    chosen = Settings()
    assert (chosen.port, chosen.allow_torchscript, chosen.lease_seconds) == (9000, True, 5.0)
    assert chosen.data_dir == Path("/srv/winnow")


def test_an_option_wins_over_the_environment_that_over_a_value_file_and_that_over_the_settings_file(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("port = 1")
    assert settings().port == 1
    (tmp_path / "port").write_text("2")
    monkeypatch.setenv("WINNOW_PORT_FILE", str(tmp_path / "port"))
    assert settings().port == 2
    monkeypatch.setenv("WINNOW_PORT", "3")
    assert settings().port == 3
    assert settings(port=4).port == 4


def test_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose sets `${…:-}` so."""
    for name in ("WINNOW_PORT", "WINNOW_BROKER_URL", "WINNOW_DATABASE_URL_FILE", "WINNOW_CONFIG"):
        monkeypatch.setenv(name, "")
    chosen = Settings()
    assert (chosen.port, chosen.broker_url, chosen.database_url) == (8000, None, None)


def test_a_secret_of_a_file_is_in_no_environment_of_a_worker(secret: Path, tmp_path: Path) -> None:
    """It reads the same file."""
    assert SECRET not in worker_environment(settings()).values()
    chosen = settings(database_url="sqlite://")
    assert worker_environment(chosen)["WINNOW_DATABASE_URL"] == "sqlite://"


def test_files_of_values_and_settings_are_known_variables() -> None:
    assert list(unknown_variables({"WINNOW_BROKER_URL_FILE": "x", "WINNOW_CONFIG": "x"})) == []
    assert len(list(unknown_variables({"WINNOW_BROKER_FILE": "x"}))) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "WINNOW_DATABASE_URL_FILE: there is no file"),
        (b"\n", "is empty"),
        (b"\xff", "holds no text"),
    ],
)
def test_a_value_file_that_cannot_be_used_is_a_sentence(
    secret: Path, content: bytes | None, says: str
) -> None:
    secret.unlink() if content is None else secret.write_bytes(content)
    with pytest.raises(typer.BadParameter, match=says):
        settings()


def test_a_folder_in_place_of_a_value_file_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINNOW_PORT_FILE", str(tmp_path))
    with pytest.raises(typer.BadParameter, match="cannot be read"):
        settings()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "WINNOW_CONFIG: there is no file"),
        (b"port", "is no TOML"),
        (b"\xff = 1", "is no TOML"),
        (b"prt = 1", "has prt, which is no setting. Did you mean port?"),
        (b"[winnow]\nport = 1", "has winnow, which is no setting"),
        (b"port = 99999", r"port in .*winnow\.toml: has to be at most 65535, not 99999"),
        (b"port = 'many'", r"port in .*winnow\.toml: a whole number was expected, not 'many'"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_a_sentence(
    config: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        config.write_bytes(content)
    with pytest.raises(typer.BadParameter, match=says):
        settings()


def test_what_is_wrong_in_a_value_file_is_told_without_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broker").write_text("hunter2")
    monkeypatch.setenv("WINNOW_BROKER_URL_FILE", str(tmp_path / "broker"))
    with pytest.raises(typer.BadParameter, match="WINNOW_BROKER_URL_FILE: has to match") as raised:
        settings()
    assert "hunter2" not in str(raised.value)
