import errno
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from sqlalchemy import text

from app import embedded
from app.embedded import CannotStart, running, work
from app.settings import Settings
from app.storage.engine import in_mode, open_engine
from app.storage.open import open_records


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/winnow.db"])
def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path, port=0, database_url=url)
    with pytest.raises(CannotStart, match="WINNOW_DATABASE_URL"), running(settings, workers=0):
        pass


def test_a_database_that_this_version_is_too_old_for_is_a_sentence(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=0)
    open_records(settings)
    engine = open_engine(settings.database)
    with in_mode(engine, "write").begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("INSERT INTO compatibility VALUES ('9999')"))
    engine.dispose()
    with pytest.raises(CannotStart, match="is too old: 9999"), running(settings, workers=0):
        pytest.fail("it started")
    with pytest.raises(CannotStart, match="is too old: 9999"):
        work(settings)


def test_a_worker_that_is_not_installed_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.embedded.find_spec", lambda _: None)
    with pytest.raises(CannotStart, match="has no worker"):
        work(Settings(data_dir=tmp_path))


def test_a_kind_of_address_that_the_system_lacks_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(family: int) -> NoReturn:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(embedded.socket, "socket", lacking)
    settings = Settings(data_dir=tmp_path, host="::1", port=0)
    with pytest.raises(CannotStart, match="not supported"), running(settings, workers=0):
        pytest.fail("it started")


def test_where_nobody_is_asked_only_loopback_is_listened_on(tmp_path: Path) -> None:
    everywhere = {"data_dir": tmp_path, "host": "0.0.0.0", "port": 0}
    with pytest.raises(CannotStart, match="WINNOW_AUTH=keys"), running(Settings(**everywhere), workers=0):
        pytest.fail("it started")
    assert list(tmp_path.iterdir()) == [], "before anything is made"
    with running(Settings(**everywhere, auth="keys"), workers=0) as url:
        assert httpx.get(f"{url}/livez", verify=False).status_code == 200
        assert httpx.get(f"{url}/v1/models", verify=False).status_code == 401


def test_a_key_file_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=0, auth="keys", admin_key_file=tmp_path / "none")
    with pytest.raises(CannotStart, match="WINNOW_ADMIN_KEY_FILE"), running(settings, workers=0):
        pytest.fail("it started")
