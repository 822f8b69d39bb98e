"""Tokens of an OpenID Connect issuer, as JWTs: who asks is their `sub`, what it may do stands in a claim.

PyJWT checks signature and claims; the issuer's public keys are found by its discovery document and kept for a while.
Only signatures by a private key count: with a shared secret, or without any, everybody could be the issuer.
"""

import json
import logging
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

import httpx
import jwt

from app.access.caller import Caller, in_order
from app.hosts import is_loopback
from winnow.contract.errors import Refusal
from winnow.contract.strict_json import why_unstorable

log = logging.getLogger(__name__)

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
PAIRS: Final = ("RSA", "EC", "OKP")
"""Types of keys of which the one half can be told."""
LEEWAY_SECONDS: Final = 30
"""By which the issuer's clock may be off."""
FRESH_SECONDS: Final = 600.0
"""For so long the issuer's keys are not asked for again."""
PAUSE_SECONDS: Final = 10.0
"""Between two questions, however many tokens name keys that are not known."""
KEPT_SECONDS: Final = 86400.0
"""For so long the keys are used while the issuer is away."""
TIMEOUT_SECONDS: Final = 5.0
MOST_BYTES: Final = 2**20
MOST_CHARACTERS: Final = 200
"""Of an owner's name."""
DISCOVERY: Final = "/.well-known/openid-configuration"


class Tokens:
    """Those of one issuer for one audience. For any number of threads."""

    def __init__(self, issuer: str, audience: str, scopes_claim: str) -> None:
        self._issuer, self._audience, self._scopes_claim = issuer, audience, scopes_claim
        self._keys = IssuerKeys(issuer)

    def caller(self, token: str) -> Caller:
        """Whose token it is. Raises `token_invalid`, `token_expired`, `issuer_unreachable`."""
        claims = self._checked(token)
        scopes = in_order(scopes_in(claims, self._scopes_claim))
        return Caller(_owner(claims["sub"]), frozenset(scopes), expires_at=float(claims["exp"]))

    def _checked(self, token: str) -> dict[str, Any]:
        try:
            key = self._key_for(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise Refusal("token_expired", "The token has expired. Get a new one from its issuer.") from None
        except jwt.InvalidAudienceError:
            raise _invalid(f"it is not for {self._audience!r}, which its `aud` has to name") from None
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _invalid(str(error) or type(error).__name__) from None
        return claims

    def _key_for(self, token: str) -> jwt.PyJWK:
        """What an unchecked token says is used to find the key, and to say why there is none."""
        told = jwt.decode(token, options={"verify_signature": False})
        if told.get("iss") != self._issuer:
            by = "nobody" if told.get("iss") is None else repr(str(told["iss"])[:200])
            raise _invalid(f"it was issued by {by}, and only {self._issuer} is trusted")
        kid = jwt.get_unverified_header(token).get("kid")
        key = self._keys.key(kid)
        if key is None:
            named = "no key" if kid is None else f"the key {kid[:200]!r}"
            raise _invalid(f"its `kid` names {named}, which {self._issuer} does not have")
        return key


class IssuerKeys:
    """The public keys of an issuer, asked for when they are needed."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._lock = Lock()
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._asked_at, self._had_at = -PAUSE_SECONDS, -KEPT_SECONDS

    def key(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of this name; a token that names none means the only one. Raises `issuer_unreachable`."""
        keys = self._current(kid)
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        return keys.get(kid)

    def _current(self, kid: str | None) -> Mapping[str | None, jwt.PyJWK]:
        """Whoever can do without waits for no answer that another has asked for."""
        now = time.monotonic()
        known = kid is None or kid in self._keys
        if known and self._keys and now - self._had_at < FRESH_SECONDS:
            return self._keys
        if self._lock.acquire(blocking=not self._keys):
            try:
                self._ask(time.monotonic())
            finally:
                self._lock.release()
        if not self._keys or now - self._had_at > KEPT_SECONDS:
            raise Refusal(
                "issuer_unreachable",
                f"The keys of {self._issuer} cannot be had now, so no token can be checked. Try again in a moment.",
                retry_after=int(PAUSE_SECONDS),
            )
        return self._keys

    def _ask(self, now: float) -> None:
        if now - self._asked_at < PAUSE_SECONDS:
            return
        self._asked_at = now
        try:
            self._keys = fetched_keys(self._issuer)
            self._had_at = now
        except (httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
            log.warning("the keys of %s cannot be had: %s: %s", self._issuer, type(error).__name__, error)


def fetched_keys(issuer: str) -> dict[str | None, jwt.PyJWK]:
    """Asks the issuer where its keys are, and there for the keys. Raises `httpx.HTTPError`, `ValueError` and their
    kin."""
    here = is_loopback(httpx.URL(issuer).host)
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=not here) as http:
        about = _json(http, issuer.rstrip("/") + DISCOVERY)
        if about["issuer"] != issuer:
            raise ValueError(f"the document there is about {about['issuer']!r}")
        found = jwt.PyJWKSet.from_dict(_json(http, about["jwks_uri"]))
    return {
        key.key_id: key for key in found.keys if key.key_type in PAIRS and key.public_key_use in (None, "sig")
    }


def scopes_in(claims: Mapping[str, Any], name: str) -> list[str]:
    """The words of a claim, a text or a list; where there is no claim of this name, `a.b` is `b` in `a`."""
    value: Any = claims.get(name)
    if value is None and "." in name:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value.split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _json(http: httpx.Client, url: str) -> Any:
    """Reads no more than `MOST_BYTES`."""
    content = bytearray()
    with http.stream("GET", url) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES} bytes came from {url}")
    return json.loads(content)


def _owner(sub: object) -> str:
    if not isinstance(sub, str) or not 0 < len(sub) <= MOST_CHARACTERS or why_unstorable(sub):
        raise _invalid(f"its `sub` has to be a text of 1 to {MOST_CHARACTERS} characters")
    return sub


def _invalid(why: str) -> Refusal:
    return Refusal("token_invalid", f"The token is refused: {why.removesuffix('.')}.")
