"""Links that open one thing until they expire: signed, so that nothing has to be kept of them.

    signature = HMAC-SHA256(secret, "winnow link 1" · job · what · expires) in base64url

The secret is made once and lies in the database, which all processes of the API share.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

from app.storage.ports import Keys
from winnow.contract.errors import Refusal

NAME: Final = "links"
VERSION: Final = "winnow link 1"


def link_secret(records: Keys) -> str:
    return records.secret(NAME, secrets.token_urlsafe(32))


def sign(secret: str, job: str, what: str, expires: int) -> str:
    """`expires` is in whole seconds since the epoch."""
    message = "\n".join((VERSION, job, what, str(expires)))
    mac = hmac.digest(secret.encode(), message.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def check_link(secret: str, job: str, what: str, expires: int, signed: str, now: float) -> None:
    """Raises `link_invalid`, `link_expired`."""
    if not hmac.compare_digest(sign(secret, job, what, expires).encode(), signed.encode()):
        raise Refusal(
            "link_invalid", "This service has signed no such link. Copy it whole, or ask for another."
        )
    if expires <= now:
        raise Refusal("link_expired", "The link has expired. Ask who sent it for another.")
