import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.bucket import Bucket
from app.storage.engine import open_engine
from app.storage.local_blobs import LocalBlobs
from app.storage.migrate import migrate
from app.storage.ports import Blobs
from app.storage.remote_blobs import RemoteBlobs
from tests.support.buckets import in_memory, objects
from winnow.contract.errors import Refusal
from worker.blob_cache import BlobCache


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[RemoteBlobs, Bucket]]:
    engine = open_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    migrate(engine)
    yield in_memory(engine)
    engine.dispose()


@pytest.fixture
def blobs(store: tuple[RemoteBlobs, Bucket]) -> RemoteBlobs:
    return store[0]


def put(blobs: Blobs, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def cached(folder: Path) -> set[str]:
    return {place.name for place in (folder / "cache").glob("*")}


def cache(blobs: Blobs, folder: Path, size: int = 1 << 20, ranges_above: int = 1 << 30) -> BlobCache:
    return BlobCache(blobs, folder / "cache", size, ranges_above)


def lend(cache: BlobCache, sha256: str) -> bytes:
    with cache.lent() as files:
        return files(sha256).read_bytes()


def test_a_bucket_s_blob_is_copied_once_and_cannot_be_written(blobs: RemoteBlobs, tmp_path: Path) -> None:
    sha256 = put(blobs, b"content")
    with cache(blobs, tmp_path).lent() as files:
        file = files(sha256)
        assert file.read_bytes() == b"content"
        assert file.stat().st_mode & 0o222 == 0
        written = file.stat().st_mtime_ns
        assert files(sha256) == file
    assert lend(cache(blobs, tmp_path), sha256) == b"content"
    assert file.stat().st_mtime_ns == written


def test_a_store_s_own_files_are_lent_as_they_are(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    sha256 = put(blobs, b"content")
    with cache(blobs, tmp_path).lent() as files:
        assert files(sha256) == blobs.source(sha256)
    assert not (tmp_path / "cache").exists()


def test_the_least_recently_used_go_and_what_is_lent_stays(blobs: RemoteBlobs, tmp_path: Path) -> None:
    first, second, third = (put(blobs, bytes([number]) * 600) for number in range(3))
    small = cache(blobs, tmp_path, 1000)
    with small.lent() as files:
        held = files(first)
        os.utime(held.parent / "used", (1000, 1000))
        assert lend(small, second) == bytes([1]) * 600
        assert cached(tmp_path) == {first, second}
    os.utime(tmp_path / "cache" / first / "used", (1000, 1000))
    lend(small, third)
    assert first not in cached(tmp_path)
    assert third in cached(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"contenT", None])
def test_a_damaged_copy_is_fetched_again(blobs: RemoteBlobs, tmp_path: Path, damage: bytes | None) -> None:
    sha256 = put(blobs, b"content")
    lend(cache(blobs, tmp_path), sha256)
    copy = tmp_path / "cache" / sha256 / "content"
    copy.unlink()
    if damage is not None:
        copy.write_bytes(damage)
    assert lend(cache(blobs, tmp_path), sha256) == b"content"


def test_bytes_that_are_not_what_they_are_named_are_refused(
    store: tuple[RemoteBlobs, Bucket], tmp_path: Path
) -> None:
    blobs, bucket = store
    sha256 = put(blobs, b"content")
    [key] = objects(bucket)
    bucket.put(key, b"CONTENT")
    with pytest.raises(Refusal) as refused:
        lend(cache(blobs, tmp_path), sha256)
    assert refused.value.problem.code == "storage_unavailable"
    assert cached(tmp_path) == set()


def test_what_is_nowhere_is_not_there(blobs: RemoteBlobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lend(cache(blobs, tmp_path), "0" * 64)
