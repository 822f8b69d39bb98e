"""Two stores that have to do the same."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import event

from app.storage.engine import open_engine
from app.storage.memory import MemoryRecords
from app.storage.ports import Conflict, Gone
from app.storage.sql import SqlRecords
from tests.support.migrated import migrated


class Both:
    """Does everything to a store in memory and one in SQL, and demands the same answer of them."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="winnow-law-"))
        file = self._folder / "winnow.db"
        file.write_bytes(migrated())
        self._engine = open_engine(f"sqlite:///{file}")
        event.listen(self._engine, "connect", _without_fsync)
        self._stores = (MemoryRecords(), SqlRecords(self._engine, kept_seconds=0))

    def close(self) -> None:
        self._engine.dispose()
        shutil.rmtree(self._folder)

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any, **kwargs: Any) -> Any:
            first, second = (_answer(store, name, args, kwargs) for store in self._stores)
            assert first == second, f"{name}{args}: {first} in memory, {second} in SQL"
            if isinstance(first, Exception):
                raise first
            return first

        return ask


def _answer(store: Any, name: str, args: Any, kwargs: Any) -> Any:
    try:
        return getattr(store, name)(*args, **kwargs)
    except (Conflict, Gone) as error:
        return Raised(error)


class Raised(Exception):
    """An exception that can be compared."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and repr(self.args) == repr(other.args)

    __hash__ = Exception.__hash__


def _without_fsync(connection: Any, _record: Any) -> None:
    """What a power cut does is not asked here, and thousands of commits are quicker without."""
    connection.execute("PRAGMA synchronous=OFF").close()
