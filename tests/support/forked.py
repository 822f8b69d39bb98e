"""Children of tests, forked from a process that has imported them: what a child imports takes longer than what a test
tells it to do. For tests that ask what comes of a child, not how it is started.

    python -m tests.support.forked FD      is that process; it ends with the one that started it
"""

import importlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from unittest.mock import patch

from worker.child import __main__ as entry
from worker.child import fork_server, forking, spawn
from worker.child.fork_server import PYTHON, READY, ROOM
from worker.child.forking import Adopted
from worker.child.imports import import_on_use, uncollected
from worker.child.spawn import Guard
from worker.child.strays import adopt_strays
from worker.compression.measure.apart.parent import die_with_parent

NAMES: Final = ("tests.support.child", "tests.support.hostile")
PATIENCE_SECONDS: Final = 3600.0
START_SECONDS: Final = 20.0


class Forked:
    """The process, and the way to have it fork a child."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [*PYTHON, "tests.support.forked", str(theirs.fileno()), ROOM]
        environment = spawn._environment(Path(os.sep), None)
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=environment,
                cwd=os.sep,
            )
        assert self._control.recv(len(READY)) == READY
        self._started = spawn._start

    def start(self, module: str, folder: Path, environment: dict[str, str], descriptors: list[int]) -> Guard:
        """As `spawn._start`, which starts what is not one of `NAMES`."""
        if module not in NAMES:
            return self._started(module, folder, environment, descriptors)
        adopt_strays()
        request = {"folder": str(folder), "environment": environment, "module": module}
        socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
        number = int(self._control.recv(64))
        assert number > 0, os.strerror(-number)
        return Adopted(number)

    def close(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()


def until_servers_are_ready(threads: int | None = None) -> None:
    """Have servers of the worker's own for its children of so many threads: they, too, import once."""
    for what in (fork_server.WORK, fork_server.LOAD):
        forking.prepare(what, spawn._environment(Path(os.sep), threads))
    deadline = time.monotonic() + START_SECONDS
    while not all(server.is_ready for server in forking._servers.values()):
        assert time.monotonic() < deadline, "the servers are not ready"
        time.sleep(0.01)


def main() -> None:
    die_with_parent()
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    with uncollected():
        import_on_use()
        performing = {name: importlib.import_module(name).perform for name in NAMES}
        for name in ("worker.child.messages", "worker.child.work"):
            importlib.import_module(name)
    with patch.object(fork_server, "IDLE_SECONDS", PATIENCE_SECONDS):
        request = fork_server._serve(control)
    if request is None:
        os._exit(0)
    asked, descriptors = request
    fork_server._begin(asked, descriptors)
    entry.main(performing[asked["module"]])


if __name__ == "__main__":
    main()
