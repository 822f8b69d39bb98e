"""The stores under test: every test that asks for `records` or `blobs` runs against each of them."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.storage.engine import in_mode, open_engine
from app.storage.local_blobs import LocalBlobs
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.migrate import migrate
from app.storage.ports import Blobs, Records
from app.storage.sql import SqlRecords
from app.storage.tables import metadata, queues
from tests.support.buckets import in_memory, on_server
from tests.support.migrated import migrated
from tests.support.postgres import postgres
from tests.support.s3 import S3Server, s3_server

UNUSED = {"looked_at": 0.0, "released": 0, "republished": 0}
"""Of a queue."""
on_postgresql = pytest.param("postgresql", marks=pytest.mark.integration)


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Four of them, which do something at once: what that is, is imported once for all."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.support.records"])
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        yield pool


@pytest.fixture(params=["sqlite", on_postgresql])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A migrated database without rows."""
    with _empty_database(request, tmp_path, request.param) as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite", on_postgresql])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    if request.param == "memory":
        yield MemoryRecords()
        return
    with _empty_database(request, tmp_path, request.param) as opened:
        yield SqlRecords(opened, kept_seconds=0)


@contextmanager
def _empty_database(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> Iterator[Engine]:
    if database == "sqlite":
        (tmp_path / "winnow.db").write_bytes(migrated())
        opened = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    else:
        opened = open_engine(request.getfixturevalue("postgresql_url"))
    try:
        migrate(opened)
        with in_mode(opened, "write").begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(queues.update().values(UNUSED) if table is queues else table.delete())
        yield opened
    finally:
        opened.dispose()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


BLOBS = [
    "memory",
    "local",
    pytest.param(("bucket", "sqlite"), id="bucket-sqlite"),
    pytest.param(("bucket", "postgresql"), id="bucket-postgresql", marks=pytest.mark.integration),
    pytest.param(("s3", "sqlite"), id="s3-sqlite", marks=pytest.mark.integration),
]


@pytest.fixture(params=BLOBS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Blobs]:
    match request.param:
        case "memory":
            yield MemoryBlobs()
        case "local":
            yield LocalBlobs(tmp_path / "blobs")
        case place, database:
            with _empty_database(request, tmp_path, database) as engine:
                if place == "bucket":
                    yield in_memory(engine)[0]
                else:
                    yield on_server(request.getfixturevalue("s3"), engine, monkeypatch)
