"""Who asks, found out as the settings say: by nobody's word, by API keys, or by tokens."""

import math
import time
from typing import TYPE_CHECKING, Final

from app.access.caller import ANYBODY, Caller
from app.access.keys import caller_by_key, caller_by_session
from app.access.rate import RateLimiter
from app.settings import Settings
from app.storage.ports import Records
from winnow.contract.errors import Refusal

if TYPE_CHECKING:
    from app.access.oidc import Tokens

HOW: Final = {
    "keys": "Send `Authorization: Bearer KEY`; `winnow` and its Client take the key from WINNOW_KEY.",
    "oidc": "Send `Authorization: Bearer TOKEN`, a token of {issuer} for {audience}.",
}


class Door:
    """One for each process of the API."""

    def __init__(self, settings: Settings, records: Records) -> None:
        self._settings, self._records = settings, records
        per_minute = settings.requests_per_minute
        self._limiter = None if per_minute is None else RateLimiter(per_minute)
        self._tokens = tokens_of(settings)

    @property
    def asks(self) -> bool:
        """Whether anybody has to say who they are."""
        return self._settings.auth != "none"

    def caller(self, bearer: str | None, cookie: str | None, now: float) -> Caller:
        """Whose request it is. What the header says wins over a cookie. Blocks while it asks the database or an issuer.

        Raises `key_needed`, `key_unknown`, `key_expired`, `key_revoked`, `session_ended`, `token_invalid`,
        `token_expired`, `issuer_unreachable`.
        """
        if not self.asks:
            return ANYBODY
        if bearer is not None:
            return self._by_bearer(bearer, now)
        if cookie is not None:
            return caller_by_session(self._records, cookie, now)
        settings = self._settings
        how = HOW[settings.auth].format(issuer=settings.oidc_issuer, audience=settings.oidc_audience)
        raise Refusal("key_needed", f"This service has to know who asks. {how}")

    def count(self, caller: Caller) -> None:
        """Raises `too_many_requests`. Call from one thread."""
        if self._limiter is not None and (wait := self._limiter.wait_seconds(caller.owner, time.monotonic())):
            raise Refusal(
                "too_many_requests",
                f"One owner may send {self._settings.requests_per_minute} requests a minute. Wait for {wait:.1f} s; "
                "the operator sets this with WINNOW_REQUESTS_PER_MINUTE.",
                retry_after=math.ceil(wait),
            )

    def _by_bearer(self, text: str, now: float) -> Caller:
        if self._tokens is not None:
            return self._tokens.caller(text)
        return caller_by_key(self._records, text, now)


def tokens_of(settings: Settings) -> "Tokens | None":
    """None where no tokens are taken, which then needs no cryptography."""
    if settings.auth != "oidc":
        return None
    from app.access.oidc import Tokens

    assert settings.oidc_issuer is not None
    assert settings.oidc_audience is not None
    return Tokens(settings.oidc_issuer, settings.oidc_audience, settings.oidc_scopes_claim)
