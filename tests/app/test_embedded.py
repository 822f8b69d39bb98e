from pathlib import Path

import pytest

from app.embedded import CannotStart, running, work
from app.settings import Settings


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/winnow.db"])
def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path, port=0, database_url=url)
    with pytest.raises(CannotStart, match="WINNOW_DATABASE_URL"), running(settings, workers=False):
        pass


def test_a_worker_that_is_not_installed_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.embedded.find_spec", lambda _: None)
    with pytest.raises(CannotStart, match="has no worker"):
        work(Settings(data_dir=tmp_path), "work")
