"""Two stores that have to do the same."""

from typing import Any

from sqlalchemy import event

from app.storage.memory import MemoryRecords
from app.storage.ports import Conflict, Gone
from app.storage.sql import SqlRecords
from tests.support.migrated import empty_database

READING = frozenset(
    {
        *("jobs", "job", "uploads", "upload", "study", "trial", "trial_rows", "held", "events"),
        *("queue_position", "queue_positions"),
    }
)


class Both:
    """Does everything to a store in memory and one in SQL, and demands the same answer of them.

    What only reads is asked once between two changes: the invariants of a law ask for the same again and again.
    """

    def __init__(self) -> None:
        engine = empty_database("both")
        if not event.contains(engine, "connect", _without_fsync):
            event.listen(engine, "connect", _without_fsync)
        self._stores = (MemoryRecords(), SqlRecords(engine, kept_seconds=0))
        self._read: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any, **kwargs: Any) -> Any:
            if name not in READING:
                self._read.clear()
                return self._asked(name, args, kwargs)
            question = f"{name}{args}{kwargs}"
            if question not in self._read:
                self._read[question] = self._asked(name, args, kwargs)
            return self._read[question]

        return ask

    def _asked(self, name: str, args: Any, kwargs: Any) -> Any:
        first, second = (_answer(store, name, args, kwargs) for store in self._stores)
        assert first == second, f"{name}{args}: {first} in memory, {second} in SQL"
        if isinstance(first, Exception):
            raise first
        return first


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
