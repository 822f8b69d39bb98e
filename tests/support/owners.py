"""Owners of a service that asks who they are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.access.keys import new_key
from app.api.times import now
from tests.support.served import Served, served
from winnow.contract.access import SCOPES


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def a_key_of(api: Served, owner: str, scopes: Iterable[str] = SCOPES, expires_at: float | None = None) -> str:
    """The text of a new key."""
    key, text = new_key(owner, "for a test", scopes, now(), expires_at)
    api.parts.records.add_key(key)
    return text


def ask(api: Served, method: str, address: str, **options: Any) -> httpx.Response:
    """What somebody is told who brings no key but what `options` say; the address is whole, or of this service."""
    url = address if "://" in address else api.url + address
    return httpx.request(method, url, verify=False, timeout=30, **options)


@contextmanager
def served_to(owner: str, folder: Path, **options: Any) -> Iterator[Served]:
    """A service with keys, to which `http` brings one of this owner with all scopes."""
    with served(folder, auth="keys", **options) as api:
        api.http.headers.update(bearer(a_key_of(api, owner)))
        yield api


@contextmanager
def also(api: Served, owner: str, scopes: Iterable[str] = SCOPES) -> Iterator[httpx.Client]:
    """Another owner's client of the same service."""
    with httpx.Client(
        base_url=api.url, headers=bearer(a_key_of(api, owner, scopes)), timeout=30, verify=False
    ) as http:
        yield http
