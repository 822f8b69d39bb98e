"""An S3 server of the test's own: rclone's, over a folder. It can be killed and started again."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.integration import binary

START_SECONDS: Final = 20
BUCKET: Final = "winnow"
ACCESS, SECRET = "an-access-key", "a-secret-key"


class S3Server:
    """On a free port of the loopback, with one bucket. `endpoint` stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self._program = binary("rclone", str(Path(sys.executable).parent))
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        (folder / "data" / BUCKET).mkdir(parents=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

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

    def start(self) -> None:
        """Returns when it answers."""
        command = [self._program, "serve", "s3", "--addr", f"127.0.0.1:{self._port}"]
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

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(self.endpoint, timeout=1).close()
                return
            except urllib.error.HTTPError:  # it wants a signature
                return
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.02)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running server with an empty bucket. Skips (or fails) where rclone is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="winnow-s3-"))
    try:
        server = S3Server(folder)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
