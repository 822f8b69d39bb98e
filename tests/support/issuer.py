"""A small OpenID Connect issuer over real HTTP: its discovery document, its public keys, and tokens that it signs."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from tests.support.http import answering, send

AUDIENCE = "winnow"


@cache
def a_private_key(name: str) -> RSAPrivateKey:
    """Making one takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """`names` are those of the keys that it tells. `away`: it answers 503. `asked` counts the questions for keys."""

    url: str = ""
    names: list[str] = field(default_factory=lambda: ["first"])
    away: bool = False
    asked: int = 0

    def token(self, name: str = "first", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Signed by the key of this name, good for a minute, of Ada with the scope read; None leaves a claim out."""
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "scope": "openid read",
            "exp": int(time.time()) + 60,
            **claims,
        }
        kept = {claim: value for claim, value in said.items() if value is not None}
        return jwt.encode(kept, a_private_key(name), "RS256", {"kid": name, **(headers or {})})

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.away:
            send(handler, 503)
        elif handler.path == "/.well-known/openid-configuration":
            self._send(handler, {"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        else:
            self.asked += 1
            self._send(handler, {"keys": [self._public(name) for name in self.names]})

    def _public(self, name: str) -> dict[str, Any]:
        public = a_private_key(name).public_key()
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True), "kid": name, "use": "sig"}

    def _send(self, handler: BaseHTTPRequestHandler, value: Any) -> None:
        send(handler, 200, json.dumps(value).encode(), Content_Type="application/json")


@contextmanager
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    with answering(running.answer) as url:
        running.url = url
        yield running
