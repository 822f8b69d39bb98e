"""An S3 server of the test's own: rclone's, over a folder. It can be killed and started again, and be made to fail.

In front of it stands a relay: rclone 1.75 answers ranges as it should, but with status 200, and clients that check it
want 206. The relay also answers what a test wants answered in place of the server.
"""

import http.client
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final

from tests.support.integration import binary
from tests.support.sockets import free_port

START_SECONDS: Final = 20
BUCKET: Final = "winnow"
ACCESS, SECRET = "an-access-key", "a-secret-key"
OF_THE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})


class S3Server:
    """On free ports of the loopback, its relay on those of `address`, with one bucket. `endpoint` stays the same over
    restarts."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self._program = binary("rclone", str(Path(sys.executable).parent))
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._failures: list[int] = []
        self._lock = Lock()
        (folder / "data" / BUCKET).mkdir(parents=True)
        self._relay = ThreadingHTTPServer((address, 0), _relay_of(self))
        self._relay.daemon_threads = True
        Thread(target=self._relay.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def endpoint(self) -> str:
        host, port = self._relay.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def objects(self) -> set[str]:
        """The names of all that is in the bucket."""
        root = self._folder / "data" / BUCKET
        return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}

    def empty(self) -> None:
        """Remove all that is in the bucket, past the server."""
        for file in self.objects():
            (self._folder / "data" / BUCKET / file).unlink()

    def fail(self, *statuses: int) -> None:
        """Answer the next requests with these."""
        with self._lock:
            self._failures += statuses

    def next_failure(self) -> int | None:
        with self._lock:
            return self._failures.pop(0) if self._failures else None

    def start(self) -> None:
        """Returns when it answers."""
        command = [self._program, "serve", "s3", "--addr", f"127.0.0.1:{self.port}"]
        options = ["--auth-key", f"{ACCESS},{SECRET}", "--config", str(self._folder / "none"), "-q"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *options, str(self._folder / "data")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready(self._process)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        self._relay.shutdown()
        self._relay.server_close()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.02)


def _relay_of(server: S3Server) -> type[BaseHTTPRequestHandler]:
    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if (status := server.next_failure()) is not None:
                self._answer(status, {}, b"")
                return
            try:
                self._pass_on(body)
            except OSError:  # nobody listens, or no longer
                self.close_connection = True

        def _pass_on(self, body: bytes) -> None:
            backend = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            try:
                backend.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    backend.putheader(name, value)
                backend.endheaders(body)
                answer = backend.getresponse()
                headers = {n: v for n, v in answer.getheaders() if n.lower() not in OF_THE_CONNECTION}
                partial = answer.status == 200 and answer.getheader("content-range")
                self._answer(206 if partial else answer.status, headers, answer.read())
            finally:
                backend.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            if self.command != "HEAD":
                headers = {n: v for n, v in headers.items() if n.lower() != "content-length"}
                headers["content-length"] = str(len(body))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    return Relay


@contextmanager
def s3_server(address: str = "127.0.0.1") -> Iterator[S3Server]:
    """A running server with an empty bucket. Skips (or fails) where rclone is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="winnow-s3-"))
    try:
        server = S3Server(folder, address)
        try:
            server.start()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
