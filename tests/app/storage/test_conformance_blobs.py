"""The port `Blobs`, as every store has to keep it."""

import hashlib
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.storage.ports import Blobs

NEVER = "0" * 64


def put(blobs: Blobs, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def content_of(blobs: Blobs, sha256: str) -> bytes:
    source = blobs.source(sha256)
    return source.read_bytes() if isinstance(source, Path) else b"".join(source.chunks())


def sweep(blobs: Blobs, *live: str, older_than: float) -> set[str]:
    return set(blobs.sweep(set(live), older_than))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(chunks=st.lists(st.binary(max_size=300), max_size=6))
def test_the_name_is_the_sha256_of_the_content_however_it_was_cut(blobs: Blobs, chunks: list[bytes]) -> None:
    content = b"".join(chunks)
    expected = hashlib.sha256(content).hexdigest()
    writer = blobs.writer()
    for chunk in chunks:
        writer.write(chunk)
    assert writer.digest() == expected
    assert writer.commit() == (expected, len(content))
    assert blobs.size(expected) == len(content)
    assert content_of(blobs, expected) == content
    opened = blobs.open(expected)
    assert opened is not None
    with opened:
        assert opened.read() == content


def test_a_file_that_is_taken_is_a_blob_and_gone_from_where_it_was(blobs: Blobs, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(b"content").hexdigest()
    for _ in range(2):  # new, then there already
        (tmp_path / "file").write_bytes(b"content")
        blobs.take_file(tmp_path / "file", sha256)
        assert not (tmp_path / "file").exists()
        assert content_of(blobs, sha256) == b"content"
    with pytest.raises(OSError):
        blobs.take_file(tmp_path / "file", sha256)


def test_what_was_never_put_is_not_there(blobs: Blobs) -> None:
    for name in (NEVER, "", "../../etc/passwd", "A" * 64):
        assert blobs.open(name) is None
        assert blobs.size(name) is None
        with pytest.raises(FileNotFoundError):
            blobs.source(name)


def test_the_digest_so_far_is_known_while_writing(blobs: Blobs) -> None:
    writer = blobs.writer()
    assert writer.digest() == hashlib.sha256(b"").hexdigest()
    writer.write(b"ab")
    assert writer.digest() == hashlib.sha256(b"ab").hexdigest()
    writer.abort()


def test_nothing_is_there_before_the_commit_nor_after_an_abort(blobs: Blobs) -> None:
    writer = blobs.writer()
    writer.write(b"content")
    assert blobs.size(writer.digest()) is None
    writer.abort()
    writer.abort()
    assert blobs.size(hashlib.sha256(b"content").hexdigest()) is None


def test_an_abort_after_the_commit_changes_nothing(blobs: Blobs) -> None:
    writer = blobs.writer()
    writer.write(b"content")
    sha256, size = writer.commit()
    writer.abort()
    assert blobs.size(sha256) == size


def test_putting_the_same_again_is_harmless(blobs: Blobs) -> None:
    assert put(blobs, b"content") == put(blobs, b"content")
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: put(blobs, b"other"), range(16)))
    assert len(names) == 1
    assert content_of(blobs, names.pop()) == b"other"


def test_a_file_is_copied_in_and_can_change_afterwards(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    content = bytes(range(256)) * 10_000
    file.write_bytes(content)
    sha256, size = blobs.put_file(file)
    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), len(content))
    file.write_bytes(b"something else")
    assert content_of(blobs, sha256) == content


def test_the_store_s_own_file_is_read_only_and_has_one_link(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"content")
    for sha256 in (put(blobs, b"put"), blobs.put_file(file)[0]):
        source = blobs.source(sha256)
        if isinstance(source, Path):
            assert source.stat().st_mode & 0o222 == 0
            assert source.stat().st_nlink == 1
        else:
            assert source.url() is None


def test_a_large_one_comes_back_whole_and_in_parts(blobs: Blobs) -> None:
    """Of more parts and requests than one, in chunks that end where none of them does."""
    content = random.Random(0).randbytes(11 * 2**20 + 7)
    writer = blobs.writer()
    for start in range(0, len(content), 300_001):
        writer.write(content[start : start + 300_001])
    sha256, size = writer.commit()
    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert content_of(blobs, sha256) == content
    opened = blobs.open(sha256)
    assert opened is not None
    with opened:
        assert opened.seek(-10, os.SEEK_END) == len(content) - 10
        assert opened.read() == content[-10:]
        opened.seek(5 * 2**20)
        assert opened.read(9) == content[5 * 2**20 :][:9]
    source = blobs.source(sha256)
    if not isinstance(source, Path):
        part = b"".join(source.chunks(3, 9 * 2**20))
        assert part == content[3 : 9 * 2**20]


def test_a_sweep_removes_and_names_what_is_old_and_not_live(blobs: Blobs) -> None:
    live, dead = put(blobs, b"live"), put(blobs, b"dead")
    assert sweep(blobs, live, older_than=time.time() + 60) == {dead}
    assert (blobs.size(live), blobs.size(dead)) == (4, None)
    with pytest.raises(FileNotFoundError):
        blobs.source(dead)


def test_a_sweep_keeps_what_is_young(blobs: Blobs) -> None:
    young = put(blobs, b"young")
    assert sweep(blobs, older_than=time.time() - 60) == set()
    assert blobs.size(young) == 5


def test_what_is_put_again_is_young_again(blobs: Blobs) -> None:
    sha256 = put(blobs, b"content")
    between = time.time() + 0.05
    time.sleep(0.1)
    assert put(blobs, b"content") == sha256
    assert sweep(blobs, older_than=between) == set()
    assert blobs.size(sha256) is not None


def test_nothing_put_during_sweeps_is_lost(blobs: Blobs) -> None:
    """Old content is put again while it is being swept: after the put it is there, whoever came first."""
    for n in range(25):
        content = f"content {n}".encode()
        sha256 = put(blobs, content)
        between = time.time() + 0.02
        time.sleep(0.06)  # a file's time is that of the last tick: up to 10 ms ago, on a busy machine more
        with ThreadPoolExecutor(2) as pool:
            swept = pool.submit(sweep, blobs, older_than=between)
            again = pool.submit(put, blobs, content)
        assert again.result() == sha256
        swept.result()
        assert blobs.size(sha256) == len(content)


def test_a_working_store_answers_a_ping(blobs: Blobs) -> None:
    blobs.ping()


def test_what_is_no_plain_file_is_not_put(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "none"):
        with pytest.raises((OSError, ValueError)):
            blobs.put_file(tmp_path / name)
