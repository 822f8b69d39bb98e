"""Two stores that have to do the same."""

from typing import Any

from sqlalchemy import event

from app.storage.memory import MemoryRecords
from app.storage.ports import Conflict, Gone
from app.storage.sql import SqlRecords
from tests.support.migrated import empty_database


class Both:
    """Does everything to a store in memory and one in SQL, and demands the same answer of them."""

    def __init__(self) -> None:
        engine = empty_database("both")
        if not event.contains(engine, "connect", _without_fsync):
            event.listen(engine, "connect", _without_fsync)
        self._stores = (MemoryRecords(), SqlRecords(engine, kept_seconds=0))

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
