import pytest
from pydantic import ValidationError

from app.settings import Settings
from winnow.cli.variables import SETTINGS


def test_a_level_may_be_written_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LOG_LEVEL", "debug")
    assert Settings().log_level == "DEBUG"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WINNOW_LOG_LEVEL", "loud"),
        ("WINNOW_BROKER_URL", "localhost:6379"),
        ("WINNOW_CAPABILITIES", "cpu,,cuda"),
        ("WINNOW_CAPABILITIES", "GPU"),
        ("WINNOW_CAPABILITIES", ",".join(f"c{n}" for n in range(17))),
    ],
)
def test_what_would_fail_later_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError):
        Settings()


def test_the_client_knows_every_variable() -> None:
    """It says of any other that nothing reads it, also where no service is installed."""
    assert tuple(Settings.model_fields) == SETTINGS


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"AUTH": "oidc"}, "WINNOW_OIDC_ISSUER and WINNOW_OIDC_AUDIENCE"),
        ({"AUTH": "oidc", "OIDC_ISSUER": "https://id.example.com"}, "WINNOW_OIDC_AUDIENCE"),
        ({"AUTH": "password"}, "'none', 'keys' or 'oidc'"),
        ({"OIDC_ISSUER": "http://id.example.com"}, "https://"),
        ({"OIDC_ISSUER": "id.example.com"}, "https://"),
    ],
)
def test_how_who_asks_is_known_is_set_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], fault: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"WINNOW_{name}", value)
    with pytest.raises(ValidationError, match=fault):
        Settings()


def test_an_issuer_on_this_machine_needs_no_tls() -> None:
    made = Settings(auth="oidc", oidc_issuer="http://127.0.0.1:9", oidc_audience="winnow")
    assert made.oidc_issuer == "http://127.0.0.1:9"
