"""Downloads: whole, in ranges, only when changed, under a safe name."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.conditional import satisfiable
from app.api.content import attachment
from tests.app.api.conftest import ONNX
from tests.support.served import Served

SIZE = len(ONNX)


@pytest.fixture
def url(model: str) -> str:
    return f"/v1/models/{model}/content"


def test_the_bytes_come_back_as_they_were_sent(api: Served, url: str, onnx: bytes) -> None:
    answer = api.http.get(url)
    assert (answer.status_code, answer.content) == (200, onnx)
    assert answer.headers["etag"] == f'"{hashlib.sha256(onnx).hexdigest()}"'
    assert answer.headers["content-disposition"] == 'attachment; filename="net.onnx"'


def test_head_is_get_without_the_bytes(api: Served, url: str) -> None:
    head, get = api.http.head(url), api.http.get(url)
    assert (head.status_code, head.content) == (200, b"")
    ours = ("etag", "content-length", "content-type", "content-disposition", "accept-ranges")
    assert [head.headers[name] for name in ours] == [get.headers[name] for name in ours]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other" , W/{}', "*"])
def test_what_the_client_has_is_not_sent_again(api: Served, url: str, form: str) -> None:
    tag = api.http.get(url).headers["etag"]
    for method in ("GET", "HEAD"):
        answer = api.http.request(method, url, headers={"If-None-Match": form.format(tag)})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


def test_another_tag_sends_it(api: Served, url: str) -> None:
    assert api.http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-5", 2, 6),
        ("bytes=3-", 3, SIZE),
        ("bytes=-3", SIZE - 3, SIZE),
        ("bytes=1-999", 1, SIZE),
    ],
)
def test_a_range_is_that_part(api: Served, url: str, onnx: bytes, asked: str, start: int, stop: int) -> None:
    answer = api.http.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, onnx[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"


def test_two_ranges_come_as_parts(api: Served, url: str) -> None:
    answer = api.http.get(url, headers={"Range": "bytes=0-0,4-5"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=100-200", "bytes=-0"])
def test_a_range_outside_is_a_problem(api: Served, url: str, asked: str) -> None:
    answer = api.http.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked", ["bytes", "bytes=", "bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=--1", "bytes=-"]
)
def test_a_range_that_makes_no_sense_is_ignored(api: Served, url: str, onnx: bytes, asked: str) -> None:
    answer = api.http.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, onnx)


def test_if_range_decides_between_part_and_whole(api: Served, url: str, onnx: bytes) -> None:
    tag = api.http.get(url).headers["etag"]
    same = api.http.get(url, headers={"Range": "bytes=0-1", "If-Range": tag})
    other = api.http.get(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (same.status_code, same.content) == (206, onnx[:2])
    assert (other.status_code, other.content) == (200, onnx)


@given(st.text(max_size=30), st.integers(0, 100))
def test_any_range_is_served_refused_or_ignored(text: str, size: int) -> None:
    assert satisfiable(f"bytes={text}", size) in (True, False, None)


@given(st.text(max_size=50))
def test_a_file_name_never_breaks_its_header(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()
    assert "/" not in header
    assert header.count('"') == 2


def test_a_name_in_another_script_is_kept() -> None:
    assert (
        attachment("模型.onnx") == "attachment; filename=\"_.onnx\"; filename*=UTF-8''%E6%A8%A1%E5%9E%8B.onnx"
    )


def test_a_dataset_comes_back_too(api: Served, dataset: str, npz: bytes) -> None:
    answer = api.http.get(f"/v1/datasets/{dataset}/content")
    assert answer.content == npz
    assert answer.headers["content-disposition"].endswith('.npz"')
