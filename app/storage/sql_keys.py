"""The port `Keys` in SQL."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from app.storage.key_rules import is_last_admin
from app.storage.ports import Conflict
from app.storage.records import Key, Page, Session
from app.storage.sql_base import SqlStore, paged, unless_raced
from app.storage.tables import api_keys, secrets, sessions


class SqlKeys(SqlStore):
    def add_key(self, key: Key) -> Key:
        return unless_raced(lambda: self._add_key(key))

    def _add_key(self, key: Key) -> Key:
        with self.writing() as connection:
            known = _key(connection, key.id)
            if known is None:
                connection.execute(insert(api_keys).values(vars(key)))
            return known or key

    def key(self, id: str) -> Key | None:
        with self.reading() as connection:
            return _key(connection, id)

    def keys(self, page: Page) -> list[Key]:
        with self.reading() as connection:
            return [_as_key(row) for row in connection.execute(paged(select(api_keys), api_keys, page))]

    def key_used(self, id: str, now: float, unless_since: float) -> None:
        last = api_keys.c.last_used_at
        due = (api_keys.c.id == id) & (last.is_(None) | (last <= unless_since))
        with self.writing() as connection:
            connection.execute(update(api_keys).where(due).values(last_used_at=now))

    def revoke_key(self, id: str, now: float) -> Key | None:
        """Locks all keys that are not revoked: else two that are revoked at once were each the last but one."""
        with self.writing() as connection:
            in_force = select(api_keys).where(api_keys.c.revoked_at.is_(None)).order_by(api_keys.c.id)
            keys = {row.id: _as_key(row) for row in connection.execute(in_force.with_for_update())}
            if id not in keys:
                return _key(connection, id)
            if is_last_admin(keys[id], keys.values(), now):
                raise Conflict(f"{id} is the last admin key")
            revoked = update(api_keys).where(api_keys.c.id == id).values(revoked_at=now).returning(api_keys)
            return _as_key(connection.execute(revoked).one())

    def add_session(self, session: Session) -> None:
        with self.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_at <= session.created_at))
            connection.execute(insert(sessions).values(vars(session)))

    def session(self, id: str) -> Session | None:
        with self.reading() as connection:
            row = connection.execute(select(sessions).where(sessions.c.id == id)).one_or_none()
        return None if row is None else Session(**{**row._mapping, "scopes": tuple(row.scopes)})

    def end_session(self, id: str) -> bool:
        with self.writing() as connection:
            return connection.execute(delete(sessions).where(sessions.c.id == id)).rowcount > 0

    def secret(self, name: str, new: str) -> str:
        with self.reading() as connection:
            known = _secret(connection, name)
        return known or unless_raced(lambda: self._add_secret(name, new))

    def _add_secret(self, name: str, new: str) -> str:
        with self.writing() as connection:
            known = _secret(connection, name)
            if known is None:
                connection.execute(insert(secrets).values(name=name, value=new))
            return known or new


def _secret(connection: Connection, name: str) -> str | None:
    value: str | None = connection.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar()
    return value


def _key(connection: Connection, id: str) -> Key | None:
    row = connection.execute(select(api_keys).where(api_keys.c.id == id)).one_or_none()
    return None if row is None else _as_key(row)


def _as_key(row: Row[Any]) -> Key:
    return Key(**{**row._mapping, "scopes": tuple(row.scopes)})
