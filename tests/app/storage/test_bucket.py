"""How long a server of objects is waited for."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Thread

import pytest

from app.storage import bucket
from app.storage.bucket import open_bucket
from app.storage.ports import StoreAway

SILENCE = 0.5
"""Seconds that the server may say nothing."""


@contextmanager
def dripping(begin: bytes, body: bytes, pause: float) -> Iterator[str]:
    """A server that reads what comes, begins an answer and goes on byte by byte, after a pause each."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    Thread(target=drip, args=(connection,), daemon=True).start()

        def drip(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.send(begin)
                for each in body:
                    time.sleep(pause)
                    connection.send(bytes([each]))
                connection.recv(65536)

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "SILENCE", timedelta(seconds=SILENCE))
    monkeypatch.setattr(bucket, "RETRY", {**bucket.RETRY, "max_retries": 0})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "any")


def test_a_server_that_works_on_an_answer_for_longer_than_it_may_be_silent_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = (
        b'HTTP/1.1 206 Partial Content\r\netag: "e"\r\nlast-modified: Mon, 30 Nov 2026 10:00:00 GMT\r\n'
        b"content-range: bytes 0-9/10\r\ncontent-length: 10\r\n\r\n"
    )
    with dripping(begin, b" " * 10, SILENCE / 5) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        begun = time.monotonic()
        assert open_bucket("s3://any").read("name", 0, 10) == b" " * 10
        assert time.monotonic() - begun > SILENCE


def test_a_silent_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping(b"", b"", 0) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(StoreAway):
            open_bucket("s3://any").put("name", b"content")
