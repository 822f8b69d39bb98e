from pathlib import Path

import pytest

from app.embedded import CannotStart, running
from app.settings import Settings


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/winnow.db"])
def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path, port=0, database_url=url)
    with pytest.raises(CannotStart, match="WINNOW_DATABASE_URL"), running(settings, workers=False):
        pass
