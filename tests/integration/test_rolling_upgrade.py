"""Two versions on one database: the old one goes on while the new one migrates, and both serve what the other took."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from sqlalchemy import text

from app.settings import Settings
from app.storage.engine import open_engine
from app.storage.migrate import newest_revision
from app.storage.open import open_records
from tests.app.api.conftest import ONNX
from tests.support.newer_version import REVISION, newer_version
from tests.support.postgres import postgres
from tests.support.served import Served, served
from tests.support.service import service

on_postgresql = pytest.param("postgresql", marks=pytest.mark.integration)


@pytest.fixture(params=["sqlite", on_postgresql])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shared.db'}"
        return
    with postgres() as url:
        yield url


def revision_at(database: str) -> str:
    engine = open_engine(database)
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    finally:
        engine.dispose()


def upload(http: httpx.Client, number: int) -> str:
    answer = http.post("/v1/models", content=ONNX.replace(b"grap", b"%04d" % number))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def models(http: httpx.Client) -> set[str]:
    """What is there, page after page."""
    found: set[str] = set()
    address: str | None = "/v1/models?limit=100"
    while address is not None:
        page = http.get(address).json()
        found |= {str(model["id"]) for model in page["items"]}
        address = page["next"]
    return found


class Uploading(Thread):
    """One upload after another, until it is told to stop."""

    def __init__(self, api: Served) -> None:
        super().__init__()
        self.taken: list[str] = []
        self.refused: list[BaseException] = []
        self.some = Event()
        self.enough = Event()
        self._http = api.http

    def run(self) -> None:
        for number in itertools.count():
            if self.enough.is_set() or self.refused:
                return
            try:
                self.taken.append(upload(self._http, number))
            except (AssertionError, httpx.HTTPError) as error:
                self.refused.append(error)
            self.some.set()


def test_old_and_new_work_side_by_side_while_one_migrates(tmp_path: Path, database: str) -> None:
    old = Settings(data_dir=tmp_path / "old", database_url=database)
    new = newer_version(tmp_path / "new-version")
    with served(old.data_dir, open_records(old)) as before:
        assert revision_at(database) == newest_revision()
        uploading = Uploading(before)
        uploading.start()
        assert uploading.some.wait(30)
        under = ("env", f"--chdir={new}")
        variables = {"PYTHONPATH": str(new), "WINNOW_DATABASE_URL": database}
        with service(tmp_path / "new", "--no-workers", under=under, **variables) as started:
            uploading.enough.set()
            uploading.join(30)
            assert uploading.refused == []
            assert revision_at(database) == REVISION
            with httpx.Client(base_url=started.url, timeout=30) as after:
                theirs = {upload(after, 9000 + number) for number in range(3)}
                ours = {upload(before.http, 8000 + number) for number in range(3)}
                assert models(before.http) == models(after) == {*uploading.taken, *theirs, *ours}
            started.stop()
    with served(old.data_dir, open_records(old)) as again:
        assert theirs <= models(again.http)
        upload(again.http, 7000)
