"""Every answer tells browsers to take it as data."""

import pytest

from app.api.security_headers import SECURITY_HEADERS
from tests.support.served import Served

ASKED = [
    *(
        ("GET", "/livez"),
        ("GET", "/v1/jobs"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
        ("PUT", "/v1/jobs"),
    ),
    *(("POST", "/v1/jobs"), ("HEAD", "/readyz"), ("OPTIONS", "/v1/models")),
]


@pytest.mark.parametrize(("method", "path"), ASKED)
@pytest.mark.parametrize("host", ["localhost", "evil.example", "x/y"])
def test_every_answer_has_the_headers(api: Served, method: str, path: str, host: str) -> None:
    answer = api.http.request(method, path, headers={"Host": host})
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["cache-control"] == "no-store"


def test_what_may_be_kept_says_so_itself(api: Served, model: str) -> None:
    for path, kept in [
        (f"/v1/models/{model}", "no-cache"),
        (f"/v1/models/{model}/content", "private, no-cache"),
    ]:
        answer = api.http.get(path)
        assert answer.headers["cache-control"] == kept
        again = api.http.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, "no-store" in again.headers.get("cache-control", "")) == (304, False)
