"""Pages of other sites can neither read nor change anything; programs and our own pages notice nothing of it."""

import socket
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.browsers import is_own_origin
from app.hosts import Authority, parse_authority
from tests.support.served import Served, served

OWN = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "localhost:1",
    "localhost:",
]
ELSEWHERE = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.2",
    "10.0.0.1",
    "[::2]",
]
NO_HOST = ["user@localhost", "local host", "localhost:99999", "localhost/x", "[::1", "a,b", "\xe9"]
CHANGING = [
    ("POST", "/v1/models"),
    ("POST", "/v1/jobs"),
    ("PATCH", "/v1/datasets/x"),
    ("DELETE", "/v1/models/x"),
]


def raw(api: Served, request: bytes) -> tuple[int, bytes]:
    """Status and the whole answer to one request, after which the connection is closed."""
    with socket.create_connection(("127.0.0.1", api.http.base_url.port or 0), timeout=10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]), answer


def code(answer: httpx.Response) -> str | None:
    return str(answer.json()["code"]) if answer.is_error else None


@pytest.mark.parametrize("host", OWN)
@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/docs", "/openapi.json"])
def test_the_services_own_names_are_answered_in_every_spelling(api: Served, host: str, path: str) -> None:
    assert api.http.get(path, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize("path", ["/v1/models", "/docs", "/docs/start.js", "/openapi.json", "/nothing"])
def test_another_name_is_refused_whatever_it_asks_for(api: Served, host: str, path: str) -> None:
    answer = api.http.get(path, headers={"Host": host})
    assert (answer.status_code, code(answer)) == (421, "host_not_allowed")
    assert "WINNOW_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_may_call_by_any_address_but_by_no_name(api: Served, path: str) -> None:
    for host, status in [("10.1.2.3:8000", 200), ("[2001:db8::1]", 200), ("evil.example", 421)]:
        assert api.http.get(path, headers={"Host": host}).status_code == status


@pytest.mark.parametrize("host", NO_HOST)
def test_a_host_that_is_none_is_malformed(api: Served, host: str) -> None:
    answer = api.http.get("/livez", headers={"Host": host.encode("latin-1")})  # type: ignore[dict-item]
    assert (answer.status_code, code(answer)) == (400, "malformed_request")


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"], [""]])
def test_a_request_has_exactly_one_host(api: Served, hosts: list[str]) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    status, answer = raw(api, f"GET /livez HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    assert (status, b"malformed_request" in answer) == (400, True)


def test_the_operator_says_which_names_there_are(tmp_path: Path) -> None:
    with served(tmp_path, allowed_hosts="winnow.example.com, *.internal") as api:
        for host, status in [("winnow.example.com:8443", 200), ("a.b.internal", 200), ("localhost", 421)]:
            assert api.http.get("/v1/models", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(("method", "path"), CHANGING)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "unheard-of"},
    ],
)
def test_nothing_can_be_changed_from_elsewhere(
    api: Served, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = api.http.request(method, path, headers=headers)
    assert (answer.status_code, code(answer)) == (403, "cross_origin")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=b", "text/plain", None])
def test_a_form_of_another_site_is_refused_before_its_body_is_read(
    api: Served, content_type: str | None
) -> None:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = f"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n{kind}"
    status, answer = raw(api, f"{head}Content-Length: 1000000\r\nConnection: close\r\n\r\n".encode())
    assert (status, b"cross_origin" in answer) == (403, True)


def test_a_preflight_gets_no_permission(api: Served) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = api.http.options("/v1/models", headers=asked)
    assert (answer.status_code, code(answer)) == (403, "cross_origin")
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_our_own_pages_and_programs_can_upload(api: Served, onnx: bytes) -> None:
    own = str(api.http.base_url).rstrip("/")
    for headers in ({"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert api.http.post("/v1/models", content=onnx, headers=headers).status_code in (200, 201)


def test_a_link_on_another_page_may_lead_here(api: Served) -> None:
    assert api.http.get("/docs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


hosts = st.sampled_from(["localhost", "127.0.0.1", "[::1]", "winnow.example.com", "evil.example"])
ports = st.sampled_from([None, 80, 443, 8000])


def spelled(host: str, port: int | None) -> str:
    return host if port is None else f"{host}:{port}"


@given(scheme=st.sampled_from(["http", "https"]), named=st.tuples(hosts, ports), own=st.tuples(hosts, ports))
def test_an_origin_is_own_when_host_and_port_are(
    scheme: str, named: tuple[str, int | None], own: tuple[str, int | None]
) -> None:
    default = {"http": 80, "https": 443}[scheme]
    same = named[0] == own[0] and (named[1] or default) == (own[1] or default)
    assert is_own_origin(f"{scheme}://{spelled(*named)}", parse_authority(spelled(*own))) == same


@given(origin=st.text(max_size=30) | st.text(alphabet="htps:/localhost.@#? ", max_size=25))
def test_no_other_text_is_an_own_origin(origin: str) -> None:
    own = Authority("localhost", None)
    assert not is_own_origin(origin, own) or origin.rstrip(".:").lower() in (
        "http://localhost",
        "https://localhost",
    )
