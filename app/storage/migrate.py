"""Brings a database to the newest schema. Any number of processes may do so at once: one does, the others wait.

A new revision, after a change of `tables.py` (pyproject.toml names the folder to alembic):

    .venv/bin/alembic revision --autogenerate --message "what changes"
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from app.storage.engine import in_mode, make_file

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x77696E6E6F77
"""PostgreSQL's advisory locks are numbers; this one spells "winnow"."""


def migrate(engine: Engine) -> None:
    """All revisions in one transaction, so a failure leaves the database as it was."""
    make_file(engine)
    with in_mode(engine, "migrate").connect() as connection:
        with connection.begin():
            _wait_for_turn(connection)
            command.upgrade(config(connection), "head")
        connection.invalidate()  # its foreign keys are switched off; the pool gets a new one


def config(connection: Connection) -> Config:
    """Alembic's configuration for a connection that is in a transaction already."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["connection"] = connection
    return made


def _wait_for_turn(connection: Connection) -> None:
    """On SQLite the transaction has begun by taking the write lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
