import pytest
from pydantic import ValidationError

from app.settings import Settings


def test_a_level_may_be_written_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LOG_LEVEL", "debug")
    assert Settings().log_level == "DEBUG"


@pytest.mark.parametrize(
    ("variable", "value"), [("WINNOW_LOG_LEVEL", "loud"), ("WINNOW_BROKER_URL", "localhost:6379")]
)
def test_what_would_fail_later_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError):
        Settings()
