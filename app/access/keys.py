"""API keys and sessions: what is shown once, and what is kept of it.

    text   = "winnow_" + 256 random bits in base64url
    sha256 = SHA-256(text)                                   kept
    id     = "key_" + the first 130 bits of sha256 in base 32    public: finds the row by its primary key

The rest of the hash, 126 bits, is compared in constant time. One SHA-256 is right here: passwords need a slow hash
because people choose them and others guess them. Of 2^256 texts nobody tries a share worth naming, however fast, and
every request would pay for a slow one.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable
from typing import Final

from app.access.caller import Caller, in_order
from app.storage.ids import hashed_id
from app.storage.key_rules import usable
from app.storage.ports import Keys
from app.storage.records import Key, Session
from winnow.contract.errors import Refusal

log = logging.getLogger(__name__)

PREFIX: Final = "winnow_"
USED_SECONDS: Final = 60.0
"""The last use of a key is kept to within this."""
NO_HASH: Final = "0" * 64


def new_key(
    owner: str, name: str, scopes: Iterable[str], now: float, expires_at: float | None = None
) -> tuple[Key, str]:
    """A key and its text, which nothing else will ever tell."""
    text = PREFIX + secrets.token_urlsafe(32)
    return key_for(text, owner, name, scopes, now, expires_at), text


def key_for(
    text: str, owner: str, name: str, scopes: Iterable[str], now: float, expires_at: float | None = None
) -> Key:
    """What is kept of a text that somebody else has chosen. It has to be one that cannot be guessed."""
    sha256 = _hash(text)
    return Key(
        id=hashed_id("key", sha256),
        owner=owner,
        name=name,
        scopes=in_order(scopes),
        sha256=sha256,
        created_at=now,
        expires_at=expires_at,
    )


def new_session(caller: Caller, now: float, seconds: float) -> tuple[Session, str]:
    """A session of the caller and its cookie's text. It ends with what the caller has shown, if that ends earlier."""
    text = secrets.token_urlsafe(32)
    sha256 = _hash(text)
    until = now + seconds
    session = Session(
        id=hashed_id("ses", sha256),
        owner=caller.owner,
        scopes=in_order(caller.scopes),
        sha256=sha256,
        created_at=now,
        expires_at=until if caller.expires_at is None else min(until, caller.expires_at),
        key=caller.key,
    )
    return session, text


def caller_by_key(records: Keys, text: str, now: float) -> Caller:
    """Raises `key_unknown`, `key_revoked`, `key_expired`. Why a key is refused learns only who has it."""
    sha256 = _hash(text)
    key = records.key(hashed_id("key", sha256))
    if not hmac.compare_digest(sha256, NO_HASH if key is None else key.sha256) or key is None:
        raise Refusal("key_unknown", "The service knows no such key. Check that it was copied whole.")
    _check_usable(key, now)
    _note_use(records, key, now)
    return Caller(key.owner, frozenset(key.scopes), key.id, expires_at=key.expires_at)


def caller_by_session(records: Keys, text: str, now: float) -> Caller:
    """Raises `session_ended`, also when the key that it was made from is gone."""
    sha256 = _hash(text)
    session = records.session(hashed_id("ses", sha256))
    known = hmac.compare_digest(sha256, NO_HASH if session is None else session.sha256)
    if session is None or not known or session.expires_at <= now:
        raise _ended()
    if session.key is not None:
        key = records.key(session.key)
        if key is None or not usable(key, now):
            raise _ended()
        _note_use(records, key, now)
    return Caller(session.owner, frozenset(session.scopes), session.key, session.id, session.expires_at)


def _ended() -> Refusal:
    return Refusal("session_ended", "The session has ended. Begin another with POST /v1/session and a key.")


def _note_use(records: Keys, key: Key, now: float) -> None:
    """What cannot be kept of it costs nobody an answer."""
    since = now - USED_SECONDS
    if key.last_used_at is None or key.last_used_at <= since:
        try:
            records.key_used(key.id, now, since)
        except Exception as error:  # whatever a store raises: it could be read a moment ago
            log.warning("that %s was used could not be kept: %s", key.id, error)


def _check_usable(key: Key, now: float) -> None:
    if key.revoked_at is not None:
        raise Refusal("key_revoked", f"The key {key.id} was revoked. Ask an administrator for another.")
    if not usable(key, now):
        raise Refusal("key_expired", f"The key {key.id} has expired. Ask an administrator for another.")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
