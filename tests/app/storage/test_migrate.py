from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from app.storage.engine import in_mode, open_engine
from app.storage.migrate import MIGRATIONS, config, migrate, newest_revision
from app.storage.sql import SqlRecords
from app.storage.tables import metadata
from tests.support.records import a_job, an_upload, migrate_in_process


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
