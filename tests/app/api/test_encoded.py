"""The artifact as zstd: only when asked for, under its own ETag, never in ranges."""

import pytest
import zstandard

from tests.app.api.test_jobs import submit, succeed
from tests.support.served import Served


@pytest.fixture
def url(api: Served, model: str) -> str:
    job = submit(api, model).json()["id"]
    succeed(api, job)
    return f"/v1/jobs/{job}/artifact"


def asked(
    api: Served, url: str, accept: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers, and the bytes as they were sent."""
    wanted = {"Accept-Encoding": accept, **{name.replace("_", "-"): value for name, value in headers.items()}}
    with api.http.stream(method, url, headers=wanted) as answer:
        return answer.status_code, dict(answer.headers), b"".join(answer.iter_raw())


@pytest.mark.parametrize("accept", ["zstd", "gzip, ZSTD", "zstd;q=0.1", "gzip;q=1.0, zstd; q=0.5"])
def test_it_comes_as_zstd_when_that_is_asked_for(api: Served, url: str, accept: str) -> None:
    status, headers, sent = asked(api, url, accept)
    assert (status, headers["content-encoding"], headers["accept-ranges"]) == (200, "zstd", "none")
    assert zstandard.decompress(sent) == b"small"
    assert headers["vary"] == "accept-encoding"


@pytest.mark.parametrize("accept", ["", "identity", "gzip, br", "*", "zstd;q=0", "zstd; q=0.000"])
def test_it_comes_as_it_is_when_not(api: Served, url: str, accept: str) -> None:
    status, headers, sent = asked(api, url, accept)
    assert (status, sent) == (200, b"small")
    assert "content-encoding" not in headers
    assert headers["vary"] == "accept-encoding"


def test_each_coding_has_an_etag_of_its_own(api: Served, url: str) -> None:
    tags = {accept: asked(api, url, accept)[1]["etag"] for accept in ("zstd", "identity")}
    assert tags["zstd"] != tags["identity"]
    for accept, tag in tags.items():
        assert asked(api, url, accept, if_none_match=tag)[::2] == (304, b"")
        other = tags["identity" if accept == "zstd" else "zstd"]
        assert asked(api, url, accept, if_none_match=other)[0] == 200


def test_a_range_is_one_of_the_bytes_as_they_are(api: Served, url: str) -> None:
    status, headers, sent = asked(api, url, "zstd", range="bytes=1-2")
    assert (status, sent) == (206, b"ma")
    assert "content-encoding" not in headers
    tag = asked(api, url, "zstd")[1]["etag"]
    assert asked(api, url, "zstd", range="bytes=1-2", if_range=tag)[::2] == (200, b"small")


def test_head_is_get_without_the_bytes(api: Served, url: str) -> None:
    status, headers, sent = asked(api, url, "zstd", "HEAD")
    assert (status, headers["content-encoding"], sent) == (200, "zstd", b"")
    assert headers["etag"] == asked(api, url, "zstd")[1]["etag"]


def test_what_no_step_has_made_has_no_container(api: Served, model: str) -> None:
    status, headers, _ = asked(api, f"/v1/models/{model}/content", "zstd")
    assert status == 200
    assert "content-encoding" not in headers
