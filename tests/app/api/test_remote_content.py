"""Uploads to a bucket and downloads from one: as from a folder, or by a redirect."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from app.api.chunks import chunks_of, size_of
from app.api.encoded import _compressed
from app.storage import bucket as bucket_module
from app.storage.bucket import open_bucket
from app.storage.engine import open_engine
from app.storage.local_blobs import LocalBlobs
from app.storage.migrate import migrate
from app.storage.remote_blobs import RemoteBlobs
from app.storage.sql_blob_keys import SqlBlobKeys
from tests.app.api.conftest import ONNX
from tests.support.buckets import in_memory, on_server
from tests.support.s3 import s3_server
from tests.support.served import Served, served
from winnow.client.transport import Transport

OTHER = ONNX.replace(b"grap", b"parg")
OURS = ("content-range", "content-length", "content-type", "etag", "accept-ranges", "content-disposition")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'winnow.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def both(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Served, str]]]:
    """A model in a folder, and in a bucket: the service and where the bytes are."""
    folder = tmp_path_factory.mktemp("both")
    with (
        served(folder, blobs=LocalBlobs(folder / "blobs")) as local,
        served(folder, blobs=in_memory(engine)[0]) as remote,
    ):
        yield [(api, sent(api, ONNX)) for api in (local, remote)]


def sent(api: Served, content: bytes) -> str:
    answer = api.http.post("/v1/models", content=content, params={"name": "net"})
    assert answer.status_code == 201
    return f"/v1/models/{answer.json()['id']}/content"


ENDS = st.one_of(st.none(), st.integers(0, len(ONNX) + 3))
RANGES = st.tuples(ENDS, ENDS).map(
    lambda ends: "bytes=" + "-".join("" if end is None else str(end) for end in ends)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=RANGES, method=st.sampled_from(["GET", "HEAD"]), fresh=st.sampled_from([None, True, False]))
@example(asked="nonsense", method="GET", fresh=None)
@example(asked="bytes=0-1,1-2", method="HEAD", fresh=None)
def test_a_bucket_answers_any_range_as_a_folder_does(
    both: list[tuple[Served, str]], asked: str, method: str, fresh: bool | None
) -> None:
    tag = f'"{hashlib.sha256(ONNX).hexdigest()}"'
    headers = {"Range": asked} | ({} if fresh is None else {"If-Range": tag if fresh else '"old"'})
    local, remote = (api.http.request(method, url, headers=headers) for api, url in both)
    assert (remote.status_code, remote.content) == (local.status_code, local.content) or (
        remote.json()["code"] == local.json()["code"] == "range_not_satisfiable"
    )
    assert [remote.headers.get(name) for name in OURS if name != "content-length"] == [
        local.headers.get(name) for name in OURS if name != "content-length"
    ]
    if remote.status_code != 416:
        assert remote.headers["content-length"] == local.headers["content-length"]


def test_of_several_ranges_all_bytes_come(both: list[tuple[Served, str]]) -> None:
    _, (api, url) = both
    answer = api.http.get(url, headers={"Range": "bytes=0-1,3-4"})
    assert (answer.status_code, answer.content) == (200, ONNX)


def test_an_upload_of_many_parts_comes_back(engine: Engine, tmp_path: Path) -> None:
    """Raw and as a form; the same bytes are there once."""
    content = b"a,b\n" + b"1,2\n" * 2**21
    with served(tmp_path, blobs=in_memory(engine)[0]) as api:
        raw = api.http.post("/v1/datasets", content=content)
        form = api.http.post("/v1/datasets", files={"file": ("x.csv", content)})
        assert (raw.status_code, form.status_code) == (201, 200)
        assert api.http.get(f"/v1/datasets/{raw.json()['id']}/content").content == content


def test_a_container_is_made_of_a_bucket_s_bytes_too(engine: Engine) -> None:
    blobs, _ = in_memory(engine)
    writer = blobs.writer()
    writer.write(ONNX * 1000)
    source = blobs.source(writer.commit()[0])
    packed = b"".join(_compressed(size_of(source), chunks_of(source)))
    assert zstandard.decompress(packed) == ONNX * 1000


@pytest.fixture
def away(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> RemoteBlobs:
    """A bucket at whose address nobody listens; of one model it had the bytes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(bucket_module, "RETRY", {"max_retries": 0})
    return RemoteBlobs(open_bucket("s3://away"), SqlBlobKeys(engine))


def test_a_bucket_that_is_away_is_a_problem_that_says_so(
    both: list[tuple[Served, str]], away: RemoteBlobs, tmp_path: Path
) -> None:
    _, (remote, url) = both
    with served(tmp_path, records=remote.parts.records, blobs=away) as api:
        for answer in (
            api.http.post("/v1/models", content=OTHER),
            api.http.post("/v1/models", files={"file": ("net.onnx", OTHER)}),
            api.http.get(url),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
            assert answer.headers["retry-after"]
        ready = api.http.get("/readyz")
        assert (ready.status_code, ready.json()["disk"]) == (503, "unreachable")
        assert ready.json()["status"] == "unavailable"
    assert remote.http.get(url).content == ONNX


@pytest.mark.integration
def test_a_redirect_leads_to_the_bytes_and_to_parts_of_them(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed for a while; without the signature there is nothing to be had. Our client follows."""
    with s3_server() as server:
        blobs = on_server(server, engine, monkeypatch, redirects=True)
        with served(tmp_path, blobs=blobs) as api:
            url = sent(api, OTHER)
            answer = api.http.get(url)
            assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
            address = answer.headers["location"]
            assert httpx.get(address).content == OTHER
            part = httpx.get(address, headers={"Range": "bytes=2-4"})
            assert (part.status_code, part.content) == (206, OTHER[2:5])
            assert httpx.get(address.replace("Signature=", "Signature=0")).status_code == 403
            with Transport(api.url).stream(url) as response:
                assert response.read() == OTHER
            assert api.http.head(url).status_code == 200
            tag = api.http.head(url).headers["etag"]
            assert api.http.get(url, headers={"If-None-Match": tag}).status_code == 304
