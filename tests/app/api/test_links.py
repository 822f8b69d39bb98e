"""Links for who has no key: each opens one thing of one job, until it expires."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.access.links import link_secret, sign
from tests.app.api.conftest import ONNX
from tests.app.api.test_jobs import succeed
from tests.support.facts import model_facts
from tests.support.owners import ask, served_to
from tests.support.served import Served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served_to("ada", tmp_path) as running:
        yield running


@pytest.fixture
def job(api: Served) -> str:
    model = api.http.post("/v1/models", content=ONNX).json()["id"]
    api.inspected(model, model_facts().model_dump())
    return str(
        api.http.post("/v1/jobs", json={"model": model, "recipe": {"steps": [{"kind": "float16"}]}}).json()[
            "id"
        ]
    )


def link(api: Served, job: str, what: str, seconds: int = 60) -> httpx.Response:
    return api.http.post(f"/v1/jobs/{job}/links", json={"what": what, "seconds": seconds})


def signed(api: Served, job: str, what: str, expires: int) -> str:
    text = sign(link_secret(api.parts.records), job, what, expires)
    return f"{api.url}/v1/links/{job}/{what}?expires={expires}&signature={text}"


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


@pytest.mark.parametrize(("what", "content"), [("artifact", b"small"), ("report", b'{"report":1}')])
def test_a_link_opens_one_thing_without_a_key(api: Served, job: str, what: str, content: bytes) -> None:
    succeed(api, job)
    made = link(api, job, what)
    assert made.status_code == 201
    url = made.json()["url"]
    assert url.startswith(f"{api.url}/v1/links/{job}/{what}?")
    opened = ask(api, "GET", url)
    assert (opened.status_code, opened.content.replace(b" ", b"")) == (200, content)
    assert opened.headers["content-disposition"].startswith("attachment")
    if what == "artifact":
        assert ask(api, "GET", url, headers={"Range": "bytes=1-2"}).content == content[1:3]
    other = url.replace(f"/{what}?", f"/{'report' if what == 'artifact' else 'artifact'}?")
    assert code(ask(api, "GET", other)) == (403, "link_invalid")
    assert code(ask(api, "GET", f"/v1/jobs/{job}")) == (401, "key_needed")


def test_a_link_to_the_page_shows_it_and_runs_nothing(api: Served, job: str) -> None:
    succeed(api, job, page=b"<!doctype html>page")
    opened = ask(api, "GET", link(api, job, "page").json()["url"])
    assert (opened.status_code, opened.content) == (200, b"<!doctype html>page")
    assert opened.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src" not in opened.headers["content-security-policy"]
    assert opened.headers["content-security-policy"].startswith("default-src 'none'; style-src")


def test_a_link_ends_when_it_says(api: Served, job: str) -> None:
    succeed(api, job)
    before = time.time()
    expires = int(parse_qs(urlsplit(link(api, job, "report", 90).json()["url"]).query)["expires"][0])
    assert before + 88 < expires <= time.time() + 90
    assert code(ask(api, "GET", signed(api, job, "report", int(before)))) == (410, "link_expired")
    assert ask(api, "GET", signed(api, job, "report", expires)).status_code == 200


def test_a_link_is_changed_by_nobody(api: Served, job: str) -> None:
    succeed(api, job)
    url = link(api, job, "report").json()["url"]
    expires = parse_qs(urlsplit(url).query)["expires"][0]
    later = url.replace(f"expires={expires}", f"expires={int(expires) + 1}")
    other = url.replace(job, "job_01jd6x3v0m8q4r7t9w2y5z1a3f")
    for changed in (later, other, url[:-43] + "x" * 43):
        assert code(ask(api, "GET", changed)) == (403, "link_invalid")
    assert code(ask(api, "GET", url[:-1])) == (422, "invalid_request")


def test_a_link_to_what_was_deleted_leads_nowhere(api: Served, job: str) -> None:
    succeed(api, job)
    url = link(api, job, "report").json()["url"]
    assert api.http.delete(f"/v1/jobs/{job}").status_code == 204
    assert code(ask(api, "GET", url)) == (404, "not_found")


def test_there_is_no_link_to_what_is_not_there(api: Served, job: str) -> None:
    assert code(link(api, job, "artifact")) == (409, "job_not_finished")
    succeed(api, job)
    assert code(link(api, job, "page")) == (409, "no_artifact")
    assert code(link(api, job, "report", 0)) == (422, "invalid_request")
    assert code(link(api, job, "curves")) == (422, "invalid_request")
