"""Which key of a bucket has which content, in SQL: what lets a bucket be a store of blobs named by their SHA-256.

    begin ──▶ coming in ──keep──▶ content ──release──▶ to be removed ──forget──▶ (no row)
                  └────────────────abandon────────────────▲

A key's row is written before its first byte and goes after its last, so no object is ever without one, whatever dies
in between. Whoever removes an object first takes its row out of use, in one statement: of a sweep and an upload of the
same bytes one comes first. Either the upload finds the row and makes it young, and the sweep leaves it; or the row has
no content any more, and the upload's own key takes its place.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, update

from app.storage.ports import StoreAway
from app.storage.sql_base import SqlStore, locked, unless_raced
from app.storage.tables import blobs

REMOVED_AT = 0.0
"""`written_at` of what is to be removed: older than anything."""


class Swept(StoreAway):
    """The key was taken for abandoned, and its bytes are gone: whoever writes them was silent for too long."""


@dataclass(frozen=True)
class Stored:
    key: str
    sha256: str
    size: int


class SqlBlobKeys(SqlStore):
    """`engine` as `open_engine` makes it, its database migrated. Thread-safe."""

    def begin(self, key: str, now: float) -> None:
        """Announce bytes that are about to come in under this key."""
        with self.writing() as connection:
            connection.execute(insert(blobs).values(key=key, written_at=now))

    def touch(self, key: str, now: float) -> None:
        """They are still coming in. Raises `Swept`."""
        with self.writing() as connection:
            _change(connection, _coming_in(key), written_at=now)

    def keep(self, key: str, sha256: str, size: int, now: float) -> bool:
        """They are there. False where another key has the same content, which is young again: this key is then to be
        removed. Raises `Swept`."""
        return unless_raced(lambda: self._keep(key, sha256, size, now))

    def _keep(self, key: str, sha256: str, size: int, now: float) -> bool:
        with self.writing() as connection:
            other = locked(connection, blobs.c.sha256 == sha256, blobs)
            if other is None:
                _change(connection, _coming_in(key), sha256=sha256, size_bytes=size, written_at=now)
                return True
            _change(connection, blobs.c.key == other.key, written_at=now)
            connection.execute(update(blobs).where(_coming_in(key)).values(written_at=REMOVED_AT))
            return False

    def find(self, sha256: str) -> Stored | None:
        with self.reading() as connection:
            row = connection.execute(_stored().where(blobs.c.sha256 == sha256)).one_or_none()
        return None if row is None else Stored(row.key, row.sha256, row.size_bytes)

    def block_hashes(self, key: str) -> str | None:
        with self.reading() as connection:
            return connection.execute(select(blobs.c.block_hashes).where(blobs.c.key == key)).scalar()

    def keep_block_hashes(self, key: str, hashes: str) -> None:
        with self.writing() as connection:
            connection.execute(update(blobs).where(blobs.c.key == key).values(block_hashes=hashes))

    def older(self, than: float) -> list[Stored]:
        """What was last written, or put again, before then."""
        query = _stored().where(blobs.c.sha256.is_not(None), blobs.c.written_at < than)
        with self.reading() as connection:
            return [Stored(row.key, row.sha256, row.size_bytes) for row in connection.execute(query)]

    def release(self, stored: Stored, older_than: float) -> bool:
        """Take a key out of use, to be removed, unless its content was put again since then."""
        content = (blobs.c.key == stored.key) & (blobs.c.sha256 == stored.sha256)
        return self._take_out(content & (blobs.c.written_at < older_than))

    def abandoned(self, before: float) -> list[str]:
        """Keys to be removed: those taken out of use, and those of which nothing has come in since then."""
        query = select(blobs.c.key).where(blobs.c.sha256.is_(None), blobs.c.written_at < before)
        with self.reading() as connection:
            keys = list(connection.execute(query).scalars())
        return [key for key in keys if self._take_out(_without_content(key) & (blobs.c.written_at < before))]

    def forget(self, key: str) -> None:
        """Its object is no longer there."""
        with self.writing() as connection:
            connection.execute(delete(blobs).where(_without_content(key)))

    def _take_out(self, condition: ColumnElement[bool]) -> bool:
        with self.writing() as connection:
            taken = update(blobs).where(condition).values(sha256=None, size_bytes=None, written_at=REMOVED_AT)
            return connection.execute(taken).rowcount == 1


def _stored() -> Select[tuple[str, str, int]]:
    return select(blobs.c.key, blobs.c.sha256, blobs.c.size_bytes)


def _without_content(key: str) -> ColumnElement[bool]:
    return (blobs.c.key == key) & blobs.c.sha256.is_(None)


def _coming_in(key: str) -> ColumnElement[bool]:
    return _without_content(key) & (blobs.c.written_at > REMOVED_AT)


def _change(connection: Connection, condition: ColumnElement[bool], **values: object) -> None:
    if connection.execute(update(blobs).where(condition).values(values)).rowcount == 0:
        raise Swept("the bytes came in too slowly: what had come was removed")
