"""Brings a database to the newest schema. Any number of processes may do so at once: one does, the others wait.

A new revision, after a change of `tables.py` (pyproject.toml names the folder to alembic):

    .venv/bin/alembic revision --autogenerate --message "what changes"
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect, text

from app.storage.engine import in_mode, make_file

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x77696E6E6F77
"""PostgreSQL's advisory locks are numbers; this one spells "winnow"."""


def migrate(engine: Engine) -> None:
    """All revisions in one transaction, so a failure leaves the database as it was."""
    make_file(engine)
    if _revision(engine) == newest_revision():
        return
    from alembic import command  # a third of a second, and most processes have nothing to migrate

    with in_mode(engine, "migrate").connect() as connection:
        with connection.begin():
            _wait_for_turn(connection)
            command.upgrade(config(connection), "head")
        connection.invalidate()  # its foreign keys are switched off; the pool gets a new one


def newest_revision() -> str:
    """Read the newest schema's number off the names of the revisions' files: `0001_first.py`, …"""
    return max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def _revision(engine: Engine) -> str | None:
    """Read the revision that the database is at, None where it has no schema yet."""
    with in_mode(engine, "read").connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def config(connection: Connection) -> "Config":
    """Alembic's configuration for a connection that is in a transaction already."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["connection"] = connection
    return made


def _wait_for_turn(connection: Connection) -> None:
    """On SQLite the transaction has begun by taking the write lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
