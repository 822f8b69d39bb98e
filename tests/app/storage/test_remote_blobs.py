"""What only a bucket has to keep: no object without a row, no row without an object, whatever comes between."""

import time
from pathlib import Path
from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore
from sqlalchemy import Engine, select, update

from app.storage import bucket as bucket_module
from app.storage import remote_writer
from app.storage.bucket import Bucket, Multipart, open_bucket
from app.storage.ports import StoreAway
from app.storage.remote_blobs import PING, RemoteBlobs
from app.storage.sql_blob_keys import SqlBlobKeys, Swept
from app.storage.tables import blobs as rows
from tests.support.buckets import in_memory, objects, on_server
from tests.support.s3 import S3Server

LARGE = bytes(range(256)) * (6 * 2**12)
"""6 MiB: more than a part."""


@pytest.fixture
def store(engine: Engine) -> tuple[RemoteBlobs, Bucket]:
    return in_memory(engine)


def put(blobs: RemoteBlobs, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def keys(engine: Engine) -> dict[str, str | None]:
    """SHA-256 by key."""
    with engine.connect() as connection:
        return {row.key: row.sha256 for row in connection.execute(select(rows))}


def aged(engine: Engine, seconds: float) -> None:
    """As if everything had been written so much earlier."""
    with engine.begin() as connection:
        connection.execute(update(rows).values(written_at=rows.c.written_at - seconds))


CONTENTS = st.integers(0, 3).map(lambda number: f"content {number}".encode())
ACTIONS = st.lists(st.tuples(st.sampled_from(["put", "abort", "sweep", "die"]), CONTENTS), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(actions=ACTIONS)
def test_the_bucket_holds_what_the_table_names_and_nothing_else(
    store: tuple[RemoteBlobs, Bucket], engine: Engine, actions: list[tuple[str, bytes]]
) -> None:
    """But for what a process that died has left, until a sweep finds it old."""
    blobs, bucket = store
    for action, content in actions:
        match action:
            case "put":
                put(blobs, content)
            case "sweep":
                list(blobs.sweep(set(), time.time() + 60))
            case "abort" | "die":
                writer = blobs.writer()
                writer.write(content)
                if action == "abort":
                    writer.abort()
    named = keys(engine)
    assert objects(bucket) == {key for key, sha256 in named.items() if sha256 is not None}
    assert len(set(named.values())) == len(named)


def test_of_two_uploads_of_the_same_bytes_one_object_stays(
    store: tuple[RemoteBlobs, Bucket], engine: Engine
) -> None:
    blobs, bucket = store
    first, second = blobs.writer(), blobs.writer()
    for writer in (first, second):
        writer.write(LARGE)
    assert first.commit() == second.commit()
    assert len(objects(bucket)) == len(keys(engine)) == 1


def test_an_upload_that_is_swept_for_its_silence_is_told_so_and_leaves_nothing(
    store: tuple[RemoteBlobs, Bucket], engine: Engine
) -> None:
    blobs, bucket = store
    writer = blobs.writer()
    writer.write(LARGE)
    writer._settle()
    aged(engine, remote_writer.ABANDONED_SECONDS + 1)
    assert list(blobs.sweep(set(), time.time())) == []
    with pytest.raises(Swept):
        writer.commit()
    assert (objects(bucket), keys(engine)) == (set(), {})


def test_a_slow_upload_tells_that_it_lives(
    store: tuple[RemoteBlobs, Bucket], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, _ = store
    monkeypatch.setattr(remote_writer, "TOUCH_SECONDS", 0.0)
    writer = blobs.writer()
    writer.write(b"a")
    writer._settle()
    aged(engine, remote_writer.ABANDONED_SECONDS + 1)
    writer.write(b"b")
    writer._settle()
    list(blobs.sweep(set(), time.time()))
    assert writer.commit()[1] == 2


def test_what_a_dead_process_left_is_removed_when_it_is_old(
    store: tuple[RemoteBlobs, Bucket], engine: Engine
) -> None:
    """Also what it had taken out of use, and not removed yet."""
    blobs, bucket = store
    begun = blobs.writer()
    begun._begin()
    bucket.put(begun._key, b"complete, but nobody said so")
    sha256 = put(blobs, b"swept by half")
    keys_of = SqlBlobKeys(engine)
    stored = keys_of.find(sha256)
    assert stored is not None
    assert keys_of.release(stored, time.time() + 1)
    assert blobs.size(sha256) is None
    list(blobs.sweep(set(), time.time()))
    assert objects(bucket) == {begun._key}
    aged(engine, remote_writer.ABANDONED_SECONDS + 1)
    list(blobs.sweep(set(), time.time()))
    assert (objects(bucket), keys(engine)) == (set(), {})


def test_a_writer_waits_only_when_the_bucket_is_slower(
    store: tuple[RemoteBlobs, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, _ = store
    may_go_on, begun, write = Event(), Event(), Multipart.write

    def slow(self: Multipart, content: bytes) -> None:
        begun.set()
        may_go_on.wait(10)
        write(self, content)

    monkeypatch.setattr(Multipart, "write", slow)
    writer = blobs.writer()
    assert not writer.waits()
    writer.write(bytes(remote_writer.SLICE_BYTES))
    assert begun.wait(10)
    assert not writer.waits()
    writer.write(bytes(remote_writer.SLICE_BYTES))
    assert writer.waits()
    may_go_on.set()
    writer._settle()
    assert not writer.waits()
    assert writer.commit()[1] == 2 * remote_writer.SLICE_BYTES


def test_a_bucket_that_is_away_takes_nothing_and_is_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a moment, by one kind of error; nothing is left when it is there again."""
    for name, value in away().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket_module, "RETRY", {"max_retries": 0})
    bucket = open_bucket("s3://nowhere/at/all")
    blobs = RemoteBlobs(bucket, SqlBlobKeys(engine))
    for content in (b"small", LARGE):
        writer = blobs.writer()
        writer.write(content)
        with pytest.raises(StoreAway):
            writer.commit()
        writer.abort()
    with pytest.raises(StoreAway):
        blobs.ping()
    assert all(sha256 is None for sha256 in keys(engine).values())
    assert blobs.size("0" * 64) is None


def away() -> dict[str, str]:
    """An endpoint at which nobody listens."""
    return {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }


@pytest.mark.parametrize("url", ["s3://", "ftp://host/x", "az:///container", "bucket", "file:///tmp"])
def test_what_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(StoreAway, match="s3://bucket/prefix"):
        open_bucket(url)


@pytest.mark.parametrize(
    ("path", "prefix"), [("", ""), ("/", ""), ("/a", "a/"), ("/a/b/", "a/b/"), ("//a", "a/")]
)
def test_a_prefix_ends_in_one_slash(path: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in away().items():
        monkeypatch.setenv(name, value)
    assert open_bucket(f"s3://bucket{path}").prefix == prefix


def test_a_bucket_without_signatures_has_no_addresses() -> None:
    assert Bucket(MemoryStore()).url("key", 1.0) is None


@pytest.mark.integration
def test_credentials_come_from_a_file_as_well(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {name.lower(): s3.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    lines = [f"{name} = {value}" for name, value in secrets.items()]
    (tmp_path / "credentials").write_text("\n".join(["[default]", "[winnow]", *lines]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "winnow")
    open_bucket("s3://winnow").put("by-file", b"content")
    assert "by-file" in s3.objects()
    monkeypatch.setenv("AWS_PROFILE", "another")
    with pytest.raises(StoreAway, match="AWS_SHARED_CREDENTIALS_FILE"):
        open_bucket("s3://winnow")


@pytest.mark.integration
def test_a_server_that_is_busy_is_asked_again(
    s3: S3Server, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = on_server(s3, engine, monkeypatch)
    for content in (b"small", LARGE):
        s3.fail(503, 500)
        source = blobs.source(put(blobs, content))
        s3.fail(500)
        assert b"".join(source.chunks()) == content


@pytest.mark.integration
def test_on_a_server_objects_are_where_the_url_says(
    s3: S3Server, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = on_server(s3, engine, monkeypatch)
    blobs.ping()
    put(blobs, LARGE)
    [key] = keys(engine)
    assert {f"a/prefix/{key}", f"a/prefix/{PING}"} <= s3.objects()
    list(blobs.sweep(set(), time.time() + 60))
    assert f"a/prefix/{key}" not in s3.objects()
