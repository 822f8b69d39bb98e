"""When an API key opens anything, as pure functions: used by every store, and by who asks for a key."""

from collections.abc import Iterable
from typing import Final

from app.storage.records import Key

ADMIN: Final = "admin"


def usable(key: Key, now: float) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def is_last_admin(key: Key, keys: Iterable[Key], now: float) -> bool:
    """Whether nobody could administer any more without it; `keys` are all there are."""
    admins = {other.id for other in keys if ADMIN in other.scopes and usable(other, now)}
    return admins == {key.id}
