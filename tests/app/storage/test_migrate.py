from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, func, inspect, select, text

from app.storage import migrate as migration
from app.storage.engine import in_mode, open_engine
from app.storage.migrate import (
    MIGRATIONS,
    SchemaTooNew,
    check_schema,
    config,
    migrate,
    newest_revision,
    revision_of,
)
from app.storage.sql import SqlRecords
from app.storage.sqlite_file import make_file
from app.storage.tables import compatibility, metadata
from tests.support.records import a_job, an_upload, migrate_in_process

NEWER = "9999"


def test_the_migrations_make_the_tables_that_the_code_knows(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    records = SqlRecords(engine)
    stored, _ = records.add_upload(an_upload())
    migrate(engine)
    assert records.upload("local", "model", stored.id) == stored


def test_the_newest_revision_is_known_without_alembic() -> None:
    assert newest_revision() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_jobs_of_an_older_version_are_kept(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    migrate(engine)
    records = SqlRecords(engine)
    model, _ = records.add_upload(an_upload())
    job, _ = records.add_job(a_job(model), None)
    for way in (command.downgrade, command.upgrade):
        with in_mode(engine, "migrate").connect() as connection, connection.begin():
            way(config(connection), "0001" if way is command.downgrade else "head")
    assert records.job("local", job.id) == job


def test_the_way_back_leaves_no_table(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    migrate(engine)
    with in_mode(engine, "migrate").connect() as connection, connection.begin():
        command.downgrade(config(connection), "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}


def test_foreign_keys_are_on_again_after_a_migration(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def set_revision(engine: Engine, revision: str) -> None:
    with in_mode(engine, "write").begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": revision})


@pytest.fixture
def newer(engine: Engine) -> Iterator[Engine]:
    """A database that a newer version has expanded."""
    ours = newest_revision()
    with in_mode(engine, "write").begin() as connection:
        connection.execute(text("ALTER TABLE jobs ADD COLUMN mood VARCHAR"))
    set_revision(engine, NEWER)
    yield engine
    set_revision(engine, ours)
    with in_mode(engine, "write").begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN mood"))


def test_a_newer_schema_stays_as_it_is_and_is_worked_with(newer: Engine) -> None:
    migrate(newer)
    records = SqlRecords(newer)
    model, _ = records.add_upload(an_upload())
    job, _ = records.add_job(a_job(model), None)
    assert records.claim(job.id, 2000.0, 30.0) is not None
    assert records.finish(job.id, 1, 2001.0, {"state": "succeeded", "outcome": "unchecked"})
    with newer.connect() as connection:
        assert revision_of(connection) == NEWER


@pytest.mark.parametrize("lacks_what_we_need", [False, True])
def test_a_newer_schema_that_lacks_something_is_refused_by_who_needs_it(
    newer: Engine, lacks_what_we_need: bool
) -> None:
    oldest = NEWER if lacks_what_we_need else newest_revision()
    with in_mode(newer, "write").begin() as connection:
        connection.execute(compatibility.insert(), [{"oldest": "0001"}, {"oldest": oldest}])
    if not lacks_what_we_need:
        migrate(newer)
        return
    for refusing in (migrate, check_schema):
        with pytest.raises(SchemaTooNew, match="Install the newer version"):
            refusing(newer)


def test_who_waited_for_its_turn_to_migrate_looks_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile a newer version has been there."""
    ours = newest_revision()
    set_revision(engine, "0001")
    monkeypatch.setattr(migration, "wait_for_turn", lambda _: set_revision(engine, NEWER))
    monkeypatch.setattr(migration, "in_mode", lambda engine, mode: in_mode(engine, "read"))
    migrate(engine)
    set_revision(engine, ours)


def test_revisions_expand_so_that_an_older_version_can_go_on(tmp_path: Path) -> None:
    """One that contracts says from which revision on code does without what it takes away."""
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    make_file(engine)
    revisions = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
    before: dict[str, dict[str, Any]] = {}
    for revision in revisions:
        with in_mode(engine, "migrate").connect() as connection, connection.begin():
            command.upgrade(config(connection), revision)
        inspector = inspect(engine)
        after = {
            table: {column["name"]: column for column in inspector.get_columns(table)}
            for table in inspector.get_table_names()
        }
        if revision > "0007" and not allowed_to_contract(engine, revision):
            for table, columns in before.items():
                assert columns.keys() <= after[table].keys(), f"{revision} takes from {table}"
                for name in after[table].keys() - columns.keys():
                    new = after[table][name]
                    assert new["nullable"] or new["default"] is not None, f"{revision}: {table}.{name}"
        before = after


def allowed_to_contract(engine: Engine, revision: str) -> bool:
    with engine.connect() as connection:
        if not inspect(connection).has_table("compatibility"):
            return False
        oldest = connection.execute(select(func.max(compatibility.c.oldest))).scalar()
    return oldest is not None and oldest <= revision


def test_every_revision_ships_with_the_package() -> None:
    """What setuptools takes: Python files of packages, and the template named in pyproject.toml."""
    for folder in (MIGRATIONS, MIGRATIONS / "versions"):
        assert (folder / "__init__.py").exists()
    assert {file.suffix for file in (MIGRATIONS / "versions").glob("[0-9]*")} == {".py"}
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert "storage/migrations/*.mako" in pyproject


def test_processes_that_start_at_once_migrate_one_after_the_other(
    tmp_path: Path, processes: ProcessPoolExecutor
) -> None:
    url = f"sqlite:///{tmp_path / 'winnow.db'}"
    list(processes.map(migrate_in_process, [url] * 8))
    assert "jobs" in inspect(open_engine(url)).get_table_names()


@pytest.mark.integration
def test_processes_that_start_at_once_migrate_postgresql_one_after_the_other(
    postgresql_url: str, processes: ProcessPoolExecutor
) -> None:
    server = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS fresh"))
        connection.execute(text("CREATE DATABASE fresh"))
    url = postgresql_url.replace("/postgres?", "/fresh?")
    list(processes.map(migrate_in_process, [url] * 8))
    fresh = open_engine(url)
    assert "jobs" in inspect(fresh).get_table_names()
    fresh.dispose()
    server.dispose()
