"""API keys over HTTP: made, listed, revoked, and what a request without the right one is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.times import now
from tests.app.api.test_browsers import raw
from tests.support.owners import a_key_of, ask, bearer, served_to
from tests.support.served import Served, served

ASKED: dict[str, Any] = {"name": "build server", "owner": "team-vision"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served_to("ada", tmp_path) as running:
        yield running


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, str(answer.json()["code"])


def test_a_key_is_shown_once_and_opens_its_owners_things(api: Served, onnx: bytes) -> None:
    made = api.http.post("/v1/keys", json=ASKED)
    key = made.json()
    assert (made.status_code, key["scopes"], key["expires_at"]) == (201, ["read", "write"], None)
    assert made.headers["cache-control"] == "no-store"
    shown = api.http.get(made.headers["location"])
    assert shown.json() == {name: value for name, value in key.items() if name != "key"}
    assert key["key"] not in api.http.get("/v1/keys").text
    his = bearer(key["key"])
    assert api.http.post("/v1/models", content=onnx, headers=his).status_code == 201
    assert len(api.http.get("/v1/models", headers=his).json()["items"]) == 1
    assert api.http.get("/v1/models").json()["items"] == []
    assert api.http.get(made.headers["location"]).json()["last_used_at"] is not None


def test_a_key_that_is_revoked_opens_nothing_at_once_and_stays_in_the_list(api: Served) -> None:
    made = api.http.post("/v1/keys", json=ASKED).json()
    for _ in range(2):
        assert api.http.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert code(api.http.get("/v1/models", headers=bearer(made["key"]))) == (401, "key_revoked")
    [listed] = [key for key in api.http.get("/v1/keys").json()["items"] if key["id"] == made["id"]]
    assert listed["revoked_at"] is not None
    assert code(api.http.delete("/v1/keys/key_none")) == (404, "not_found")
    assert code(api.http.get("/v1/keys/key_none")) == (404, "not_found")


def test_the_last_admin_key_cannot_be_revoked(api: Served) -> None:
    [own] = api.http.get("/v1/keys").json()["items"]
    assert code(api.http.delete(f"/v1/keys/{own['id']}")) == (409, "last_admin_key")
    other = api.http.post("/v1/keys", json={**ASKED, "scopes": ["admin"]}).json()
    assert api.http.delete(f"/v1/keys/{own['id']}").status_code == 204
    refused = api.http.delete(f"/v1/keys/{other['id']}", headers=bearer(other["key"]))
    assert code(refused) == (409, "last_admin_key")


def test_keys_come_in_pages(api: Served) -> None:
    for number in range(5):
        assert api.http.post("/v1/keys", json={**ASKED, "name": str(number)}).status_code == 201
    names, address = [], "/v1/keys?limit=2"
    while address:
        page = api.http.get(address).json()
        names += [key["name"] for key in page["items"]]
        address = page["next"]
    assert names == ["4", "3", "2", "1", "0", "for a test"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"owner": ""}, "owner"),
        ({"owner": "a b"}, "owner"),
        ({"owner": "x" * 201}, "owner"),
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes.0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"key": "mine"}, "key"),
    ],
)
def test_what_is_no_key_is_refused_with_its_field(api: Served, change: dict[str, Any], field: str) -> None:
    answer = api.http.post("/v1/keys", json=ASKED | change)
    assert (*code(answer), answer.json()["field"]) == (422, "invalid_request", field)


def test_a_key_expires(api: Served) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    made = api.http.post("/v1/keys", json={**ASKED, "expires_at": until.isoformat()}).json()
    assert datetime.fromisoformat(made["expires_at"]) == until
    over = a_key_of(api, "ada", expires_at=now() - 1)
    assert code(api.http.get("/v1/models", headers=bearer(over))) == (401, "key_expired")


def test_who_does_not_say_who_asks_is_told_how(api: Served) -> None:
    answer = ask(api, "GET", "/v1/models")
    assert code(answer) == (401, "key_needed")
    assert answer.headers["www-authenticate"] == 'Bearer realm="winnow"'
    assert "WINNOW_KEY" in answer.json()["detail"]
    wrong = ask(api, "GET", "/v1/models", headers=bearer("winnow_wrong"))
    assert code(wrong) == (401, "key_unknown")
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    lacking = ask(api, "POST", "/v1/jobs", headers=bearer(a_key_of(api, "ada", ["read"])))
    assert code(lacking) == (403, "scope_missing")
    assert 'error="insufficient_scope"' in lacking.headers["www-authenticate"]


@pytest.mark.parametrize("given", [["Basic YTpi"], ["Bearer"], ["token"], ["Bearer a", "Bearer b"], [""]])
def test_a_header_that_means_nothing_or_two_things_is_refused(api: Served, given: list[str]) -> None:
    headers = httpx.Headers([("Authorization", text) for text in given])
    assert code(ask(api, "GET", "/v1/models", headers=headers)) == (400, "malformed_request")


def test_nothing_of_a_request_is_judged_before_it_is_known_who_asks(api: Served) -> None:
    """Not the address, not the body, which is not even waited for."""
    head = "POST /v1/jobs?nonsense=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    status, answer = raw(api, f"{head}Content-Length: 1000000\r\n\r\n{{nonsense".encode())
    assert (status, b"key_needed" in answer) == (401, True)


def test_a_service_that_asks_nobody_takes_no_keys(tmp_path: Path) -> None:
    """Whoever reaches it could leave one behind for later."""
    with served(tmp_path) as api:
        assert code(api.http.post("/v1/keys", json=ASKED)) == (409, "keys_disabled")
        assert code(api.http.get("/v1/keys")) == (409, "keys_disabled")
        assert code(api.http.delete("/v1/keys/key_1")) == (409, "keys_disabled")
        assert code(api.http.post("/v1/session")) == (409, "keys_disabled")
        assert api.http.get("/v1/models", headers=bearer("whatever")).status_code == 200


def test_the_document_says_how_to_say_who_asks(api: Served) -> None:
    document = api.http.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert (operation["security"] == []) == path.startswith(("/livez", "/readyz", "/v1/links"))
