"""Ranges of a large dataset: each byte comes once, is what was put there, and outlives whoever fetched it."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from app.storage.bucket import Bucket
from app.storage.engine import open_engine
from app.storage.migrate import migrate
from app.storage.ports import StoreAway
from app.storage.remote_blobs import RemoteBlobs, RemoteObject
from tests.support.buckets import in_memory, objects
from winnow.contract.errors import Refusal
from worker.blob_cache import BlobCache
from worker.compression.data.ranges.ranged import BLOCK_BYTES, CONTENT
from worker.ranged_copy import BlockHashes

SIZE = 5 * BLOCK_BYTES + 77
WHOLE = np.random.default_rng(0).bytes(SIZE)


@dataclass
class Shop:
    """A bucket with one blob, and what was read of it; while it is `away` nothing can be."""

    folder: Path
    blobs: RemoteBlobs
    bucket: Bucket
    sha256: str
    read: list[tuple[int, int]] = field(default_factory=list)
    away: bool = False

    def cache(
        self, host: str = "host", max_bytes: int = 1 << 30, ranges_above: int = BLOCK_BYTES
    ) -> BlobCache:
        return BlobCache(self.blobs, self.folder / host, max_bytes, ranges_above)

    def damage(self, at: int) -> None:
        [key] = objects(self.bucket)
        self.bucket.put(key, WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :])

    def content(self, host: str = "host") -> Path:
        [place] = (self.folder / host).glob("*.ranges")
        return place / CONTENT


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    engine = open_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    migrate(engine)
    blobs, bucket = in_memory(engine)
    writer = blobs.writer()
    writer.write(WHOLE)
    shop = Shop(tmp_path, blobs, bucket, writer.commit()[0])
    read = Bucket.read

    def counted(bucket: Bucket, name: str, start: int, end: int) -> bytes:
        if shop.away:
            raise StoreAway("nobody listens")
        shop.read.append((start, end))
        return read(bucket, name, start, end)

    monkeypatch.setattr(Bucket, "read", counted)
    yield shop
    engine.dispose()


@pytest.fixture
def shop(new: Shop) -> Shop:
    """Somebody has had all of it."""
    with new.cache("another host").lent() as files:
        assert files.whole_dataset(new.sha256).read_bytes() == WHOLE
    new.read.clear()
    return new


def test_what_nobody_has_read_is_fetched_whole_and_then_known_to_all(new: Shop) -> None:
    with new.cache().lent() as files:
        assert files.dataset(new.sha256, "npy", None).read_bytes() == WHOLE
    with new.cache("another").lent() as files:
        assert files.dataset(new.sha256, "npy", None).is_dir()
        assert files.dataset(new.sha256, "tar", new.sha256).is_dir()
        assert files.dataset(new.sha256, "tar", None).is_file(), "all of it would be read to find a row"
    with new.cache().lent() as files:
        assert files.dataset(new.sha256, "npy", None).is_file(), "it is here as a whole"
    with new.cache("small", ranges_above=SIZE).lent() as files:
        assert files.dataset(new.sha256, "npy", None).is_file()


def test_hashes_that_cannot_be_kept_cost_nothing(new: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arguments: object) -> None:
        raise StoreAway("no database")

    monkeypatch.setattr(RemoteObject, "keep_block_hashes", away)
    with new.cache().lent() as files:
        assert files.dataset(new.sha256, "npy", None).read_bytes() == WHOLE


def test_any_range_comes_once_and_is_there_after_a_restart(shop: Shop) -> None:
    rng = np.random.default_rng(1)
    with shop.cache().lent() as files:
        path = files.dataset(shop.sha256, "npy", None)
        for _ in range(6):
            start, end = sorted(int(at) for at in rng.integers(0, SIZE, 2))
            files.fetch(path, start, end)
            with shop.content().open("rb") as content:
                content.seek(start)
                assert content.read(end - start) == WHOLE[start:end]
        files.fetch(path, SIZE - 1, SIZE + 1)
    covered = sum(end - start for start, end in shop.read)
    assert covered == sum(end - start for start, end in set(shop.read)) <= SIZE
    with shop.cache().lent() as files:
        assert files.fetch(files.dataset(shop.sha256, "npy", None), 0, SIZE) == SIZE - covered
    assert shop.content().read_bytes() == WHOLE


def test_what_is_damaged_on_the_disk_comes_again(shop: Shop) -> None:
    with shop.cache().lent() as files:
        files.fetch(files.dataset(shop.sha256, "npy", None), 0, SIZE)
    with shop.content().open("r+b") as content:
        content.seek(BLOCK_BYTES + 3)
        content.write(b"damage")
    with shop.cache().lent() as files:
        assert files.fetch(files.dataset(shop.sha256, "npy", None), 0, SIZE) == BLOCK_BYTES
    assert shop.content().read_bytes() == WHOLE
    with shop.content().open("r+b") as content:
        content.truncate(3)
    with shop.cache().lent() as files:
        assert files.fetch(files.dataset(shop.sha256, "npy", None), 0, SIZE) == SIZE


def test_a_store_with_other_bytes_is_refused_and_they_never_reach_the_file(shop: Shop) -> None:
    shop.damage(2 * BLOCK_BYTES + 9)
    with shop.cache().lent() as files:
        path = files.dataset(shop.sha256, "npy", None)
        assert files.fetch(path, 0, BLOCK_BYTES) == BLOCK_BYTES
        with pytest.raises(Refusal) as refused:
            files.fetch(path, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 1)
    assert refused.value.problem.code == "storage_unavailable"
    assert len(shop.read) == 3
    assert not any(shop.content().read_bytes()[2 * BLOCK_BYTES : 3 * BLOCK_BYTES])


def test_a_store_that_is_away_says_so_and_costs_nothing_that_was_there(shop: Shop) -> None:
    with shop.cache().lent() as files:
        path = files.dataset(shop.sha256, "npy", None)
        files.fetch(path, 0, 1)
        shop.away = True
        with pytest.raises(StoreAway):
            files.fetch(path, 0, SIZE)
        assert files.fetch(path, 0, BLOCK_BYTES) == 0
        shop.away = False
        assert files.fetch(path, 0, SIZE) == SIZE - BLOCK_BYTES


def test_two_workers_of_a_host_share_what_is_there(shop: Shop) -> None:
    with shop.cache().lent() as one, shop.cache().lent() as two, ThreadPoolExecutor(2) as pool:
        path = one.dataset(shop.sha256, "npy", None)
        assert two.dataset(shop.sha256, "npy", None) == path
        ranges = [(start, start + BLOCK_BYTES) for start in range(0, SIZE, BLOCK_BYTES)]
        for both in [pool.submit(lent.fetch, path, *at) for at in ranges for lent in (one, two)]:
            both.result()
    assert shop.content().read_bytes() == WHOLE


def test_what_was_not_lent_in_ranges_is_not_fetched(shop: Shop) -> None:
    with shop.cache().lent() as files, pytest.raises(KeyError):
        files.fetch(shop.folder, 0, 1)


def test_a_file_with_holes_takes_what_is_in_it_and_goes_as_a_whole_when_nobody_uses_it(shop: Shop) -> None:
    small = shop.cache(max_bytes=2 * BLOCK_BYTES)
    with small.lent() as files:
        path = files.dataset(shop.sha256, "npy", None)
        files.fetch(path, 0, 1)
    assert path.exists(), "one block is less than the bound, and its size is more"
    with small.lent() as files:
        files.fetch(files.dataset(shop.sha256, "npy", None), 0, SIZE)
        with small.lent() as others:
            others.fetch(others.dataset(shop.sha256, "npy", None), 0, 1)
        assert path.exists()
    assert not path.exists()


def test_blocks_are_hashed_however_the_bytes_come() -> None:
    expected = b"".join(
        hashlib.sha256(WHOLE[at : at + BLOCK_BYTES]).digest() for at in range(0, SIZE, BLOCK_BYTES)
    )
    for step in (BLOCK_BYTES, 3 * BLOCK_BYTES, 100_003, SIZE):
        hashes = BlockHashes()
        for at in range(0, SIZE, step):
            hashes.update(WHOLE[at : at + step])
        assert hashes.digests() == expected
