"""A PostgreSQL server of the test's own: in a temporary folder, gone at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.integration import binary
from tests.support.sockets import free_port

FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/usr/pgsql-*/bin")
START_SECONDS = 60


class PostgresServer:
    """Its files in `folder`. It listens on a Unix socket there, or on a free port of `address` for all of `trusted`
    (a network), who need no password. `url` stays the same over restarts."""

    def __init__(self, folder: Path, address: str | None = None, trusted: str = "127.0.0.1/32") -> None:
        initdb, self._program = binary("initdb", *FOLDERS), binary("postgres", *FOLDERS)
        self._folder, user = folder, _unprivileged()
        self._common: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, **user}
        self._process: subprocess.Popen[bytes] | None = None
        if user:
            os.chown(folder, user["user"], user["group"])
        made = [initdb, "-D", "data", "-U", "winnow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, timeout=START_SECONDS, **self._common)
        self._options = ["-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        self._options += ["-c", f"listen_addresses={address or ''}"]
        self.url = f"postgresql+psycopg://winnow@/postgres?host={folder}"
        if address is not None:
            self._options += ["-c", f"port={(port := free_port())}"]
            self.url = f"postgresql+psycopg://winnow@{address}:{port}/postgres"
            with (folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {trusted} trust\n")

    def start(self) -> None:
        """Returns when it answers."""
        command = [self._program, "-D", "data", *self._options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._common)
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Fast: it does not wait for clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            _end(self._process)
            self._process = None

    def crash(self) -> None:
        """As after a power cut, but that nothing which it has written is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)
            self._process = None

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url.replace("+psycopg", "")).close()
                return
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)


@contextmanager
def postgres_server(address: str | None = None, trusted: str = "127.0.0.1/32") -> Iterator[PostgresServer]:
    """A running server with an empty database. Skips (or fails) where PostgreSQL is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="winnow-postgres-", dir="/tmp"))
    try:
        server = PostgresServer(folder, address, trusted)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """Yields the SQLAlchemy URL of an empty database, as `postgres_server` does."""
    with postgres_server() as server:
        yield server.url


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: whom to run it as, as arguments of Popen."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise RuntimeError("neither a user postgres nor nobody to run PostgreSQL as")


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # at once, its children included
        process.wait(10)
