"""The stores under test: every test that asks for `records` or `blobs` runs against each of them."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
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
from tests.support.migrated import empty_database
from tests.support.postgres import postgres
from tests.support.s3 import S3Server, s3_server

EMPTIED = "; ".join(
    [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables) if table is not queues]
    + [f"UPDATE {queues.name} SET looked_at = 0, released = 0, republished = 0"]
)
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


@pytest.fixture(scope="session")
def postgresql(postgresql_url: str) -> Iterator[Engine]:
    """Its connections, and the statements that it has compiled, stay from test to test."""
    opened = open_engine(postgresql_url)
    yield opened
    opened.dispose()


@pytest.fixture(params=["sqlite", on_postgresql])
def engine(request: pytest.FixtureRequest) -> Engine:
    """A migrated database without rows."""
    return _empty_database(request, request.param, "engine")


@pytest.fixture(params=["memory", "sqlite", on_postgresql])
def records(request: pytest.FixtureRequest) -> Records:
    if request.param == "memory":
        return MemoryRecords()
    return SqlRecords(_empty_database(request, request.param, "records"), kept_seconds=0)


def _empty_database(request: pytest.FixtureRequest, database: str, purpose: str) -> Engine:
    if database == "sqlite":
        return empty_database(purpose)
    opened: Engine = request.getfixturevalue("postgresql")
    migrate(opened)
    with in_mode(opened, "write").begin() as connection:
        connection.exec_driver_sql(EMPTIED)
    return opened


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
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    match request.param:
        case "memory":
            return MemoryBlobs()
        case "local":
            return LocalBlobs(tmp_path / "blobs")
        case "bucket", database:
            return in_memory(_empty_database(request, database, "blobs"))[0]
        case _, database:
            empty = _empty_database(request, database, "blobs")
            return on_server(request.getfixturevalue("s3"), empty, monkeypatch)
