from pathlib import Path

import pytest

from app.settings import Settings
from app.storage.open import open_blobs, open_records
from tests.support.records import an_upload


def test_the_embedded_stores_open_in_a_folder_that_is_not_there_yet_and_keep_what_they_got(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path / "not" / "yet")
    stored, _ = open_records(settings).add_upload(an_upload())
    writer = open_blobs(settings).writer()
    writer.write(b"content")
    sha256, _ = writer.commit()
    assert open_records(settings).upload("local", "model", stored.id) == stored
    assert open_blobs(settings).size(sha256) == 7
    assert (settings.data_dir / "winnow.db").exists()


@pytest.mark.integration
def test_a_database_url_is_used_instead_of_sqlite(tmp_path: Path, postgresql_url: str) -> None:
    settings = Settings(data_dir=tmp_path / "var", database_url=postgresql_url)
    open_records(settings).ping()
    assert not (settings.data_dir / "winnow.db").exists()
