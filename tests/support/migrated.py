"""A database of SQLite with all tables and no row, to be written wherever one is needed: a migration is twenty times as
long."""

import tempfile
from functools import cache
from pathlib import Path

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
