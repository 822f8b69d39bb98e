from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Engine, func, select, text

from app.storage.engine import Mode, in_mode, open_engine
from app.storage.migrate import migrate
from app.storage.records import Page
from app.storage.sql import SqlRecords
from app.storage.sqlite_file import make_file
from tests.support.records import an_upload
from winnow.contract.errors import Refusal


@pytest.fixture
def sqlite(tmp_path: Path) -> Engine:
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    make_file(engine)
    return engine


def test_sqlite_keeps_what_was_committed_and_its_foreign_keys(sqlite: Engine) -> None:
    with sqlite.begin() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "wal_autocheckpoint")
        }
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
        "wal_autocheckpoint": 4000,
    }


def test_a_reader_does_not_wait_for_a_writer(sqlite: Engine) -> None:
    migrate(sqlite)
    with in_mode(sqlite, "write").begin() as writer:
        writer.execute(text("DELETE FROM uploads"))
        assert SqlRecords(sqlite).uploads("local", "model", Page()) == []


def test_a_second_writer_waits_for_the_first(sqlite: Engine) -> None:
    """Both read, then write: without BEGIN IMMEDIATE the second would fail with "database is locked"."""
    with in_mode(sqlite, "write").begin() as setup:
        setup.execute(text("CREATE TABLE t (n INTEGER)"))
        setup.execute(text("INSERT INTO t VALUES (0)"))
    reading = Event()

    def add_one() -> None:
        with in_mode(sqlite, "write").begin() as connection:
            n = connection.execute(text("SELECT n FROM t")).scalar_one()
            reading.set()
            reading.wait(0.01)
            connection.execute(text("UPDATE t SET n = :n"), {"n": n + 1})

    threads = [Thread(target=add_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sqlite.begin() as connection:
        assert connection.execute(text("SELECT n FROM t")).scalar_one() == 6


def delete_all_and_fail(records: SqlRecords) -> None:
    with records.writing() as connection:
        connection.execute(text("DELETE FROM uploads"))
        raise ZeroDivisionError


def test_a_failed_transaction_changes_nothing(engine: Engine) -> None:
    records = SqlRecords(engine)
    stored, _ = records.add_upload(an_upload())
    with pytest.raises(ZeroDivisionError):
        delete_all_and_fail(records)
    assert records.upload("local", "model", stored.id) == stored


def test_half_a_character_is_refused_and_not_a_crash(engine: Engine) -> None:
    with pytest.raises(Refusal, match="cannot be stored"):
        SqlRecords(engine).upload("local", "model", "mdl_\ud800")


@pytest.mark.integration
def test_a_nul_is_refused_by_postgresql_with_a_sentence(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    migrate(engine)
    with pytest.raises(Refusal, match="NUL"):
        SqlRecords(engine).upload("local", "model", "mdl_\x00")
    with pytest.raises(Refusal, match="too long"):
        SqlRecords(engine).add_upload(an_upload(format="f" * 100))
    engine.dispose()


@pytest.mark.integration
@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_connection_that_the_server_has_closed_is_replaced_before_it_is_used(
    postgresql_url: str, mode: Mode
) -> None:
    engine, others = in_mode(open_engine(postgresql_url), mode), open_engine(postgresql_url)
    backend = select(func.pg_backend_pid())
    with engine.begin() as connection:
        first = connection.scalar(backend)
    with others.begin() as connection:
        assert connection.scalar(select(func.pg_terminate_backend(first, 10_000)))  # waits until it has ended
    with engine.begin() as connection:
        assert connection.scalar(backend) != first
    engine.dispose()
    others.dispose()
