"""`/docs` works without any other server, and runs nothing but its own files."""

import re

import pytest

from tests.support.served import Served

FILES = ["swagger-ui-bundle.js", "swagger-ui.css", "start.js"]


def test_the_page_names_only_files_of_this_service_and_holds_no_script(api: Served) -> None:
    page = api.http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    linked = re.findall(r"""(?:src|href)="([^"]+)\"""", page.text)
    assert sorted(linked) == sorted(["data:,", *(f"docs/{name}" for name in FILES)])
    assert re.findall(r"<script[^>]*>([^<]+)<", page.text) == []
    assert not re.search(r"<style|\son\w+=", page.text)


def test_its_policy_allows_scripts_and_styles_from_here_only(api: Served) -> None:
    policy = dict(
        part.split(maxsplit=1)
        for part in api.http.get("/docs").headers["content-security-policy"].split("; ")
    )
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == (
        "'none'",
        "'self'",
        "'self'",
    )
    assert not any(word in " ".join(policy.values()) for word in ("unsafe", "http", "*"))


@pytest.mark.parametrize("name", FILES)
def test_its_files_are_served_with_their_type_and_kept_by_browsers(api: Served, name: str) -> None:
    answer = api.http.get(f"/docs/{name}")
    assert answer.headers["content-type"].split(";")[0] == (
        "text/css" if name.endswith("css") else "text/javascript"
    )
    assert "max-age" in answer.headers["cache-control"]
    again = api.http.get(f"/docs/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert api.http.head(f"/docs/{name}").headers["content-length"] == str(len(answer.content))


def test_it_reads_documents_of_the_version_that_the_service_writes(api: Served) -> None:
    """Swagger UI knows OpenAPI 3.1 from 5.0 on."""
    version = re.search(r'PACKAGE_VERSION:"(\d+)\.', api.http.get("/docs/swagger-ui-bundle.js").text)
    assert version is not None
    assert int(version[1]) >= 5
    assert api.http.get("/openapi.json").json()["openapi"].startswith("3.1")


def test_it_is_no_part_of_the_api(api: Served) -> None:
    assert not any(path.startswith("/docs") for path in api.http.get("/openapi.json").json()["paths"])
