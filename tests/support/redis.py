"""A Redis server of the test's own, which can be killed and started again."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.support.integration import binary
from tests.support.sockets import free_port

START_SECONDS = 20


class RedisServer:
    """On a free port of the loopback, or of another address that then needs no password, keeping its files in `folder`.
    `url` stays the same over restarts."""

    def __init__(self, folder: Path, *options: str, address: str = "127.0.0.1") -> None:
        self._program = binary("redis-server")
        self._folder = folder
        self._options, self._address = options, address
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://{self._address}:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        command = [self._program, "--port", str(self.port), "--bind", self._address, "--protected-mode", "no"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--dir", str(self._folder), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready(self._process)

    def kill(self) -> None:
        """SIGKILL: what it had not written to its files is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """What it has written to its files."""
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def restart(self) -> None:
        """Killed and started on the same port, with the files that it had."""
        self.kill()
        self.start()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis(self._address, self.port) as client:
            while True:
                try:
                    client.ping()  # raises BusyLoadingError, a ConnectionError, while it reads its files
                    return
                except redis.ConnectionError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError((self._folder / "log").read_text()) from None
                    time.sleep(0.02)


@contextmanager
def redis_server(*options: str, address: str = "127.0.0.1") -> Iterator[RedisServer]:
    """A running server; `options` as on its command line (`"--appendonly", "yes"`). Without any it keeps nothing.

    Skips (or fails) where Redis is not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="winnow-redis-"))
    try:
        server = RedisServer(folder, *(options or ("--save", "", "--appendonly", "no")), address=address)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
