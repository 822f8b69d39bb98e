import hashlib
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import zstandard

from tests.support.http import answering, break_off, send
from winnow.client.download import TRIES, download
from winnow.client.errors import DamagedTransfer, ServiceUnreachable, UnusableFile
from winnow.client.transport import Transport

CONTENT = bytes(range(256)) * 8192
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Breaking:
    """Sends `portion` bytes of what is asked and breaks off, as often as that leaves something."""

    def __init__(self, portion: int, ranges: bool = True) -> None:
        self.portion, self.ranges = portion, ranges
        self.asked: list[str | None] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(CONTENT) - start))
        handler.end_headers()
        handler.wfile.write(CONTENT[start : start + self.portion])
        break_off(handler)


def fetch(url: str, target: Path) -> Path:
    return download(Transport(url), "/file", target, SHA256, len(CONTENT))


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    server = Breaking(portion=len(CONTENT) // 9)
    with answering(server) as url:
        path = fetch(url, tmp_path / "new" / "small.onnx")
    assert path.read_bytes() == CONTENT
    assert server.asked[0] is None
    assert all(range.startswith("bytes=") for range in server.asked[1:] if range)
    assert len(server.asked) > TRIES
    assert [file.name for file in path.parent.iterdir()] == ["small.onnx"]


def test_what_an_earlier_try_left_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / f".small.onnx.{SHA256[:16]}.part").write_bytes(CONTENT[:1000])
    server = Breaking(portion=len(CONTENT))
    with answering(server) as url:
        assert fetch(url, tmp_path / "small.onnx").read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_server_without_ranges_starts_over(tmp_path: Path) -> None:
    (tmp_path / f".small.onnx.{SHA256[:16]}.part").write_bytes(b"x" * 1000)
    with answering(Breaking(portion=len(CONTENT), ranges=False)) as url:
        assert fetch(url, tmp_path / "small.onnx").read_bytes() == CONTENT


def test_damaged_bytes_never_replace_what_is_there(tmp_path: Path) -> None:
    target = tmp_path / "small.onnx"
    target.write_bytes(b"the old one")
    with (
        answering(lambda handler: send(handler, 200, b"y" * len(CONTENT))) as url,
        pytest.raises(DamagedTransfer),
    ):
        fetch(url, target)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"small.onnx": b"the old one"}


def test_a_service_that_sends_nothing_is_given_up(tmp_path: Path) -> None:
    with answering(Breaking(portion=0)) as url, pytest.raises(ServiceUnreachable):
        fetch(url, tmp_path / "small.onnx")
    assert not (tmp_path / "small.onnx").exists()


def test_a_target_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        answering(Breaking(portion=len(CONTENT))) as url,
        pytest.raises(UnusableFile, match="cannot be written"),
    ):
        fetch(url, tmp_path / "file" / "small.onnx")


class Compressing:
    """Sends zstd to whom asks for it, breaking off after `portion` bytes of it; ranges as they are."""

    def __init__(self, portion: int | None = None) -> None:
        self.portion = portion
        self.asked: list[tuple[str | None, str | None]] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        coding, asked = handler.headers.get("accept-encoding"), handler.headers.get("range")
        self.asked.append((coding, asked))
        if coding == "zstd" and asked is None:
            sent = zstandard.compress(CONTENT, 1)
            handler.send_response(200)
            handler.send_header("Content-Encoding", "zstd")
            handler.send_header("Content-Length", str(len(sent)))
            handler.end_headers()
            handler.wfile.write(sent[: self.portion])
            return break_off(handler)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        return send(handler, 206 if start else 200, CONTENT[start:])


def fetch_compressed(url: str, target: Path) -> Path:
    return download(Transport(url), "/file", target, SHA256, len(CONTENT), compressed=True)


def test_compressed_on_the_way_it_is_the_same_file(tmp_path: Path) -> None:
    server = Compressing()
    with answering(server) as url:
        path = fetch_compressed(url, tmp_path / "small.onnx")
    assert path.read_bytes() == CONTENT
    assert server.asked == [("zstd", None)]


def test_what_broke_off_compressed_goes_on_as_it_is(tmp_path: Path) -> None:
    server = Compressing(portion=len(zstandard.compress(CONTENT, 1)) - 4)
    with answering(server) as url:
        path = fetch_compressed(url, tmp_path / "small.onnx")
    assert path.read_bytes() == CONTENT
    assert server.asked[0] == ("zstd", None)
    assert {coding for coding, asked in server.asked[1:] if asked} == {"identity"}


def test_a_service_without_the_coding_sends_it_as_it_is(tmp_path: Path) -> None:
    with answering(lambda handler: send(handler, 200, CONTENT)) as url:
        assert fetch_compressed(url, tmp_path / "small.onnx").read_bytes() == CONTENT


def test_what_is_not_the_coding_it_claims_to_be_is_an_error_of_the_connection(tmp_path: Path) -> None:
    with (
        answering(lambda handler: send(handler, 200, CONTENT, Content_Encoding="zstd")) as url,
        pytest.raises(ServiceUnreachable),
    ):
        fetch_compressed(url, tmp_path / "small.onnx")
    assert not (tmp_path / "small.onnx").exists()
