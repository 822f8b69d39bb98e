"""The port `Keys` in memory."""

from dataclasses import replace

from app.storage.key_rules import is_last_admin
from app.storage.memory_base import MemoryStore, paged
from app.storage.ports import Conflict
from app.storage.records import Key, Page, Session


class MemoryKeys(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._api_keys: dict[str, Key] = {}
        self._sessions: dict[str, Session] = {}
        self._secrets: dict[str, str] = {}

    def add_key(self, key: Key) -> Key:
        with self._lock:
            return self._api_keys.setdefault(key.id, key)

    def key(self, id: str) -> Key | None:
        with self._lock:
            return self._api_keys.get(id)

    def keys(self, page: Page) -> list[Key]:
        with self._lock:
            return paged(self._api_keys.values(), page)

    def key_used(self, id: str, now: float, unless_since: float) -> None:
        with self._lock:
            key = self._api_keys.get(id)
            if key is not None and (key.last_used_at is None or key.last_used_at <= unless_since):
                self._api_keys[id] = replace(key, last_used_at=now)

    def revoke_key(self, id: str, now: float) -> Key | None:
        with self._lock:
            key = self._api_keys.get(id)
            if key is None or key.revoked_at is not None:
                return key
            if is_last_admin(key, self._api_keys.values(), now):
                raise Conflict(f"{id} is the last admin key")
            self._api_keys[id] = replace(key, revoked_at=now)
            return self._api_keys[id]

    def add_session(self, session: Session) -> None:
        with self._lock:
            kept = {id: s for id, s in self._sessions.items() if s.expires_at > session.created_at}
            self._sessions = kept | {session.id: session}

    def session(self, id: str) -> Session | None:
        with self._lock:
            return self._sessions.get(id)

    def end_session(self, id: str) -> bool:
        with self._lock:
            return self._sessions.pop(id, None) is not None

    def secret(self, name: str, new: str) -> str:
        with self._lock:
            return self._secrets.setdefault(name, new)
