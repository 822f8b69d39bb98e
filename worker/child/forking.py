"""Children from fork servers: one server for each environment and purpose, started when it is needed."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from worker.child.fork_server import ROOM
from worker.child.strays import adopt_strays

OWN: Final = ("HOME", "TMPDIR")
"""Variables that each child has of its own, and that nothing reads while it is imported."""


class NoForkServer(Exception):
    """None can be had here: a child has to be started by itself."""


class Adopted:
    """A process that was forked for us, and that we inherited: of `subprocess.Popen` what a guard needs."""

    def __init__(self, pid: int) -> None:
        """Raises `NoForkServer` where the kernel did not give it to us; it has ended then."""
        self.pid, self.returncode = pid, None
        try:
            self._look(os.WNOHANG)
        except ChildProcessError as error:
            os.kill(pid, signal.SIGKILL)
            raise NoForkServer from error

    def wait(self) -> int | None:
        self._look(0)
        return self.returncode

    def _look(self, how: int) -> None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None


class _Server:
    def __init__(self, what: str, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-s",
                    "-m",
                    "worker.child.fork_server",
                    str(theirs.fileno()),
                    what,
                    ROOM,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**environment, **dict.fromkeys(OWN, os.sep)},
                cwd=os.sep,
            )
        self._control = ours

    def fork(self, request: bytes, descriptors: Sequence[int]) -> int:
        """The number of the new process, ours from now on. Raises `ConnectionError` where the server is gone."""
        socket.send_fds(self._control, [request], descriptors)
        if not (answer := self._control.recv(64)):
            raise ConnectionResetError
        if (number := int(answer)) <= 0:
            raise OSError(-number, os.strerror(-number))
        return number

    def close(self) -> None:
        self._control.close()
        self.process.kill()
        self.process.wait()


_servers: dict[tuple[object, ...], _Server] = {}
_one_at_a_time = Lock()


def fork(what: str, folder: Path, environment: Mapping[str, str], descriptors: Sequence[int]) -> Adopted:
    """Have a child begin as `worker.child`, with `folder` for its home, and these for stdin, stdout, stderr, messages.

    Raises `NoForkServer`, and `OSError` where there is no such folder, or no room for a process more.
    """
    folder.stat()
    adopt_strays()
    request = json.dumps({"folder": str(folder), "environment": dict(environment)}).encode()
    with _one_at_a_time:
        for _ in range(2):  # it may just have ended, because nobody asked for long
            try:
                return Adopted(_server(what, environment).fork(request, descriptors))
            except ConnectionError:
                continue
    raise NoForkServer


def servers() -> set[int]:
    """The processes that are fork servers of this one."""
    return {server.process.pid for (owner, *_), server in _servers.items() if owner == os.getpid()}


def _server(what: str, environment: Mapping[str, str]) -> _Server:
    """One that runs, as far as can be told."""
    for key, server in [*_servers.items()]:
        if key[0] == os.getpid() and server.process.poll() is not None:
            server.close()
            del _servers[key]
    shared = frozenset((name, value) for name, value in environment.items() if name not in OWN)
    key = (os.getpid(), what, shared)
    if key not in _servers:
        try:
            _servers[key] = _Server(what, environment)
        except OSError as error:
            raise NoForkServer from error
    return _servers[key]


@atexit.register
def _close_all() -> None:
    for (owner, *_), server in _servers.items():
        if owner == os.getpid():
            server.close()
