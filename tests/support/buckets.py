"""Stores of blobs in a bucket: in this process's memory, or on a server."""

import obstore
import pytest
from obstore.store import MemoryStore
from sqlalchemy import Engine

from app.storage.bucket import Bucket, open_bucket
from app.storage.remote_blobs import RemoteBlobs
from app.storage.sql_blob_keys import SqlBlobKeys
from tests.support.s3 import BUCKET, S3Server


def in_memory(engine: Engine) -> tuple[RemoteBlobs, Bucket]:
    """A bucket of the library's own in memory, which keeps what a bucket has to."""
    bucket = Bucket(MemoryStore(), "a/prefix/")
    return RemoteBlobs(bucket, SqlBlobKeys(engine)), bucket


def on_server(
    server: S3Server, engine: Engine, monkeypatch: pytest.MonkeyPatch, *, redirects: bool = False
) -> RemoteBlobs:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = open_bucket(f"s3://{BUCKET}/a/prefix")
    return RemoteBlobs(bucket, SqlBlobKeys(engine), redirects=redirects)


def objects(bucket: Bucket) -> set[str]:
    """The names of all that is in it, without the prefix."""
    listed = [entry["path"] for page in obstore.list(bucket.store) for entry in page]
    return {path.removeprefix(bucket.prefix) for path in listed}
