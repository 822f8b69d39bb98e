"""Brings a database to the newest schema. Any number of processes may do so at once: one does, the others wait.

A new revision, after a change of `tables.py` (pyproject.toml names the folder to alembic):

    .venv/bin/alembic revision --autogenerate --message "what changes"

While a new version takes an old one's place both work on one database. So a revision expands: it adds tables, and
columns that may be null or have a default of the server's. What is not used any more goes a release later, by a
revision that contracts and says from which revision on code does without it:

    op.bulk_insert(sa.table("compatibility", sa.column("oldest")), [{"oldest": "0012"}])
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, func, inspect, select, text

from app.storage.engine import in_mode
from app.storage.sqlite_file import make_file
from app.storage.tables import compatibility

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x77696E6E6F77
"""PostgreSQL's advisory locks are numbers; this one spells "winnow"."""
_LOCK_SECONDS: Final = 10


class SchemaTooNew(Exception):
    """The database is without something that this version needs. The message is a sentence for the operator."""


def migrate(engine: Engine) -> None:
    """All revisions in one transaction, so a failure leaves the database as it was. What a newer version has added
    stays, and is no hindrance. Raises `SchemaTooNew`."""
    make_file(engine)
    with in_mode(engine, "read").connect() as connection:
        if not _is_behind(connection):
            return
    from alembic import command  # a third of a second, and most processes have nothing to migrate

    with in_mode(engine, "migrate").connect() as connection:
        with connection.begin():
            wait_for_turn(connection)
            if _is_behind(connection):
                command.upgrade(config(connection), "head")
        connection.invalidate()  # its foreign keys are switched off; the pool gets a new one


def check_schema(engine: Engine) -> None:
    """Raises `SchemaTooNew`, and what the database raises where it cannot be asked."""
    with in_mode(engine, "read").connect() as connection:
        _is_behind(connection)


def _is_behind(connection: Connection) -> bool:
    here, ours = revision_of(connection), newest_revision()
    if here is not None and here > ours:
        _refuse_if_too_new(connection, here, ours)
    return here is None or here < ours


def _refuse_if_too_new(connection: Connection, here: str, ours: str) -> None:
    """A revision that takes something away has left the oldest revision whose code can do without it."""
    oldest = connection.execute(select(func.max(compatibility.c.oldest))).scalar()
    if oldest is not None and oldest > ours:
        raise SchemaTooNew(
            f"A newer Winnow has brought the database to schema {here}, for which this one, with {ours}, is too old: "
            f"{oldest} at least is needed. Install the newer version, or restore a backup of this one's."
        )


def newest_revision() -> str:
    """Read the newest schema's number off the names of the revisions' files: `0001_first.py`, …"""
    return max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def revision_of(connection: Connection) -> str | None:
    """Read the revision that the database is at, None where it has no schema yet."""
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


def wait_for_turn(connection: Connection) -> None:
    """One process changes the schema at a time. On SQLite the transaction has begun by taking the write lock. On
    PostgreSQL a table that is changed waits for who reads it, and all others wait behind that: not for long."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
