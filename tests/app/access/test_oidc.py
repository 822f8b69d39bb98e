"""Tokens of an issuer: real keys, real HTTP."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.access import oidc
from app.access.oidc import Tokens, scopes_in
from tests.support.issuer import AUDIENCE, Issuer, a_private_key, issuer
from tests.support.owners import bearer
from tests.support.served import served
from winnow.contract.errors import Refusal


@pytest.fixture
def running() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
def tokens(running: Issuer) -> Tokens:
    return Tokens(running.url, AUDIENCE, "scope")


def refused(tokens: Tokens, token: str) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        tokens.caller(token)
    return caught.value.problem.code, caught.value.problem.detail


def pem(key: RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)
    ]
    return ".".join([*parts, ""])


def test_a_token_says_whose_request_it_is(running: Issuer, tokens: Tokens) -> None:
    caller = tokens.caller(running.token(scope="openid write read"))
    assert (caller.owner, caller.scopes, caller.key) == ("ada", {"read", "write"}, None)
    assert caller.expires_at is not None
    assert 0 < caller.expires_at - time.time() <= 60
    assert tokens.caller(running.token(aud=["other", AUDIENCE])).owner == "ada"
    assert running.asked == 1, "its keys are kept"


@pytest.mark.parametrize(
    ("claims", "code", "why"),
    [
        ({"exp": 1000}, "token_expired", "expired"),
        ({"aud": "another"}, "token_invalid", "not for 'winnow'"),
        ({"aud": None}, "token_invalid", "aud"),
        ({"iss": "https://evil.example"}, "token_invalid", "'https://evil.example'"),
        ({"iss": None}, "token_invalid", "issued by nobody"),
        ({"exp": None}, "token_invalid", "exp"),
        ({"sub": None}, "token_invalid", "sub"),
        ({"sub": ""}, "token_invalid", "sub"),
        ({"sub": "x" * 201}, "token_invalid", "sub"),
        ({"sub": "a\0b"}, "token_invalid", "sub"),
        ({"exp": float("inf")}, "token_invalid", "exp"),
        ({"exp": {}}, "token_invalid", ""),
        ({"nbf": 2**33}, "token_invalid", "not yet valid"),
    ],
)
def test_another_token_is_refused_with_the_reason(
    running: Issuer, tokens: Tokens, claims: dict[str, Any], code: str, why: str
) -> None:
    told, detail = refused(tokens, running.token(**claims))
    assert told == code
    assert why in detail


DEEP = base64.urlsafe_b64encode(b"[" * 30_000).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "winnow_" + "x" * 43, "é.é.é", f"{DEEP}.{DEEP}.", f"e30.{DEEP}."]
)
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    assert refused(tokens, token)[0] == "token_invalid"


def test_only_the_issuers_signature_counts(running: Issuer, tokens: Tokens) -> None:
    good = running.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = running.token("second", headers={"kid": "first"})
    assert refused(tokens, forged)[0] == "token_invalid"
    assert refused(tokens, good[:-8] + "AAAAAAAA")[0] == "token_invalid"
    for algorithm in ("none", "None", "HS256"):
        assert refused(tokens, unsigned(claims, {"alg": algorithm, "kid": "first"}))[0] == "token_invalid"
    for public in (json.dumps(running._public("first")).encode(), pem(a_private_key("first").public_key())):
        signed = unsigned(claims, {"alg": "HS256", "kid": "first"}).removesuffix(".")
        mac = hmac.digest(public, signed.encode(), "sha256")
        assert refused(tokens, f"{signed}.{base64.urlsafe_b64encode(mac).decode()}")[0] == "token_invalid"


def test_a_key_that_is_unknown_is_asked_for_once_and_then_told(
    running: Issuer, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.caller(running.token())
    for _ in range(5):
        code, detail = refused(tokens, running.token("second"))
        assert (code, "'second'" in detail) == ("token_invalid", True)
    assert running.asked == 1, "it was asked a moment ago"
    monkeypatch.setattr(oidc, "PAUSE_SECONDS", 0.0)
    running.names.append("second")
    assert tokens.caller(running.token("second")).owner == "ada"
    assert running.asked == 2


def test_a_token_without_a_kid_means_the_only_key(
    running: Issuer, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = jwt.decode(running.token(), options={"verify_signature": False})
    token = jwt.encode(claims, a_private_key("first"), "RS256")
    assert tokens.caller(token).owner == "ada"
    running.names.append("second")
    monkeypatch.setattr(oidc, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(oidc, "PAUSE_SECONDS", 0.0)
    assert "no key" in refused(tokens, token)[1]


def test_an_issuer_that_is_away_is_told_and_its_keys_are_used_meanwhile(
    running: Issuer, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.away = True
    assert refused(tokens, running.token())[0] == "issuer_unreachable"
    monkeypatch.setattr(oidc, "PAUSE_SECONDS", 0.0)
    running.away = False
    assert tokens.caller(running.token()).owner == "ada"
    running.away = True
    monkeypatch.setattr(oidc, "FRESH_SECONDS", 0.0)
    assert tokens.caller(running.token()).owner == "ada"
    monkeypatch.setattr(oidc, "KEPT_SECONDS", 0.0)
    assert refused(tokens, running.token())[0] == "issuer_unreachable"


def test_a_document_of_another_issuer_is_not_believed(running: Issuer) -> None:
    alias = running.url.replace("127.0.0.1", "localhost")
    assert refused(Tokens(alias, AUDIENCE, "scope"), running.token(iss=alias))[0] == "issuer_unreachable"


@pytest.mark.parametrize(
    ("claims", "name", "scopes"),
    [
        ({"scope": "read write"}, "scope", ["read", "write"]),
        ({"roles": ["read", 3, "admin"]}, "roles", ["read", "admin"]),
        ({"realm_access": {"roles": ["read"]}}, "realm_access.roles", ["read"]),
        ({"https://winnow.example/roles": ["read"]}, "https://winnow.example/roles", ["read"]),
        ({"realm_access": "read"}, "realm_access.roles", []),
        ({"scope": None}, "scope", []),
        ({"scope": 3}, "scope", []),
        ({"scope": {"read": 1}}, "scope", []),
        ({}, "scope", []),
    ],
)
def test_scopes_are_the_words_of_a_claim(claims: dict[str, Any], name: str, scopes: list[str]) -> None:
    assert scopes_in(claims, name) == scopes


def test_a_service_takes_tokens_in_place_of_keys(running: Issuer, tmp_path: Path, onnx: bytes) -> None:
    chosen = {"auth": "oidc", "oidc_issuer": running.url, "oidc_audience": AUDIENCE}
    with served(tmp_path, **chosen) as api:
        ada = bearer(running.token(scope="read write"))
        assert api.http.post("/v1/models", content=onnx, headers=ada).status_code == 201
        assert len(api.http.get("/v1/models", headers=ada).json()["items"]) == 1
        bob = bearer(running.token(sub="bob"))
        assert api.http.get("/v1/models", headers=bob).json()["items"] == []
        refused = api.http.post("/v1/models", content=onnx, headers=bob)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        expired = api.http.get("/v1/models", headers=bearer(running.token(exp=1000)))
        assert (expired.status_code, expired.json()["code"]) == (401, "token_expired")
        assert 'error="invalid_token"' in expired.headers["www-authenticate"]
        asked = api.http.get("/v1/models")
        assert (asked.status_code, running.url in asked.json()["detail"]) == (401, True)
        admin = bearer(running.token(scope="admin"))
        kept = api.http.get("/v1/audit", headers=admin).json()["items"]
        assert [(it["owner"], it["key"], it["status"]) for it in kept] == [
            ("bob", None, 403),
            ("ada", None, 201),
        ]
        keys = api.http.get("/v1/keys", headers=admin)
        assert (keys.status_code, keys.json()["code"]) == (409, "keys_disabled")
        session = api.http.post("/v1/session", headers=ada)
        assert session.status_code == 201
        assert api.http.get("/v1/models").status_code == 200, "by its cookie"
