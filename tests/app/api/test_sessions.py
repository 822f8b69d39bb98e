"""A browser's session: begun with a key, kept in a cookie that no script and no other site can use."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from tests.support.owners import a_key_of, ask, bearer, served_to
from tests.support.served import Served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served_to("ada", tmp_path, session_seconds=600) as running:
        yield running


def begun(api: Served, **headers: str) -> httpx.Response:
    key = bearer(a_key_of(api, "ada", ["read", "write"]))
    return ask(api, "POST", "/v1/session", headers={**key, **headers})


@pytest.fixture
def browser(api: Served) -> Iterator[httpx.Client]:
    """With the session's cookie, and what a browser says of its pages."""
    headers = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=api.url, cookies=begun(api).cookies, headers=headers, verify=False) as http:
        yield http


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


@pytest.mark.parametrize("origin", [None, "http://localhost", "https://localhost"])
def test_its_cookie_is_for_this_site_and_no_script(api: Served, origin: str | None) -> None:
    headers = {"Host": "localhost", **({"Origin": origin} if origin else {})}
    answer = begun(api, **headers)
    assert (answer.status_code, answer.json()["owner"], answer.json()["scopes"]) == (
        201,
        "ada",
        ["read", "write"],
    )
    [cookie] = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "strict", "/")
    assert bool(cookie["secure"]) == (origin == "https://localhost")
    assert 590 <= int(cookie["max-age"]) <= 600
    assert cookie.value not in answer.text


def test_it_opens_what_its_key_opens_until_it_is_ended(
    api: Served, browser: httpx.Client, onnx: bytes
) -> None:
    assert browser.post("/v1/models", content=onnx).status_code == 201
    assert len(browser.get("/v1/models").json()["items"]) == 1
    assert code(browser.get("/v1/audit")) == (403, "scope_missing")
    kept = dict(browser.cookies)
    ended = browser.delete("/v1/session")
    assert (ended.status_code, dict(browser.cookies)) == (204, {})
    again = ask(api, "GET", "/v1/models", cookies=kept)
    assert code(again) == (401, "session_ended")


def test_it_ends_with_its_key(api: Served, browser: httpx.Client) -> None:
    [key] = [key for key in api.http.get("/v1/keys").json()["items"] if "admin" not in key["scopes"]]
    assert browser.get("/v1/models").status_code == 200
    api.http.delete(f"/v1/keys/{key['id']}")
    assert code(browser.get("/v1/models")) == (401, "session_ended")


def test_one_does_not_prolong_itself(browser: httpx.Client) -> None:
    assert code(browser.post("/v1/session")) == (401, "key_needed")


def test_what_it_changes_has_to_say_which_page_it_comes_from(
    api: Served, browser: httpx.Client, onnx: bytes
) -> None:
    del browser.headers["origin"]
    assert browser.post("/v1/models", content=onnx).status_code == 201, "newer browsers say it otherwise"
    del browser.headers["sec-fetch-site"]
    assert code(browser.post("/v1/models", content=onnx)) == (403, "cross_origin")
    assert browser.get("/v1/models").status_code == 200
    for headers in ({"Origin": "https://evil.example"}, {"Origin": api.url, "Sec-Fetch-Site": "cross-site"}):
        assert code(browser.post("/v1/models", content=onnx, headers=headers)) == (403, "cross_origin")


def test_a_key_wins_over_a_cookie(api: Served, browser: httpx.Client) -> None:
    assert code(browser.get("/v1/models", headers=bearer("winnow_wrong"))) == (401, "key_unknown")
    assert browser.get("/v1/audit", headers=bearer(a_key_of(api, "ada"))).status_code == 200


def test_there_is_none_afterwards_also_where_there_was_none(api: Served) -> None:
    assert api.http.delete("/v1/session").status_code == 204
    assert api.http.get("/v1/models").status_code == 200
