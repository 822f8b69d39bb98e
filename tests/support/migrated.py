"""Databases of SQLite with all tables and no row. A migration is twenty times as long as a copy; an engine compiles its
statements, which takes longer than they do, so that one serves many tests."""

import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import Engine

from app.storage.engine import open_engine
from app.storage.migrate import migrate


@cache
def migrated() -> bytes:
    """The whole file; made once in this process."""
    with tempfile.TemporaryDirectory(prefix="winnow-migrated-") as folder:
        file = Path(folder, "winnow.db")
        engine = open_engine(f"sqlite:///{file}")
        migrate(engine)
        engine.dispose()  # the last connection moves the log into the file
        assert not file.with_name("winnow.db-wal").exists()
        return file.read_bytes()


def empty_database(purpose: str) -> Engine:
    """The engine of this process for a purpose, on a new file: what it was used for before is over."""
    engine = _engine(purpose)
    engine.dispose()
    file = Path(str(engine.url.database))
    for name in ("winnow.db", "winnow.db-wal", "winnow.db-shm"):
        file.with_name(name).unlink(missing_ok=True)
    file.write_bytes(migrated())
    return engine


@cache
def _engine(purpose: str) -> Engine:
    folder = Path(_folder().name, purpose)
    folder.mkdir()
    return open_engine(f"sqlite:///{folder / 'winnow.db'}")


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="winnow-databases-")
