"""A PostgreSQL server of the test's own: in a temporary folder, on a Unix socket, gone at the end."""

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

FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/usr/pgsql-*/bin")
START_SECONDS = 60


@contextmanager
def postgres() -> Iterator[str]:
    """Yields the SQLAlchemy URL of an empty database. Skips (or fails) where PostgreSQL is not installed."""
    initdb, server = binary("initdb", *FOLDERS), binary("postgres", *FOLDERS)
    folder = Path(tempfile.mkdtemp(prefix="winnow-postgres-", dir="/tmp"))
    user = _unprivileged()
    try:
        if user:
            os.chown(folder, user["user"], user["group"])
        common: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, **user}
        made = [initdb, "-D", "data", "-U", "winnow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, timeout=START_SECONDS, **common)
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([server, "-D", "data", *options], stdout=log, stderr=log, **common)
        try:
            _wait_until_ready(process, folder)
            yield f"postgresql+psycopg://winnow@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown: does not wait for clients
            _end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(host=str(folder), user="winnow", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "log").read_text()) from None
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # at once, its children included
        process.wait(10)
