"""Children from fork servers, one for each environment and purpose. Who comes while there is none, or while it imports,
is started by itself: nobody ever waits for a server. Not for several threads."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from worker.child.fork_server import PYTHON, READY, ROOM
from worker.child.strays import adopt_strays

ANSWER_SECONDS: Final = 1.0
"""One that does not answer for so long is given up."""
OWN: Final = ("HOME", "TMPDIR")
"""Variables that each child has of its own; nothing that is imported reads them. A server has those of the child before
it."""


class NoForkServer(Exception):
    """None can be had here: a child has to be started by itself."""


class NotOurs(NoForkServer):
    """Here nobody inherits a process, so there is no use for a server."""


class Adopted:
    """A process that was forked for us, and that we inherited: of `subprocess.Popen` what a guard needs."""

    def __init__(self, pid: int) -> None:
        """Raises `NotOurs` where the kernel did not give it to us; it is killed then."""
        self.pid = pid
        self.returncode: int | None = None
        try:
            self._look(os.WNOHANG)
        except ChildProcessError as error:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            raise NotOurs from error

    def wait(self) -> int | None:
        self._look(0)
        return self.returncode

    def _look(self, how: int) -> None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None


class _Server:
    def __init__(self, what: str, environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(ANSWER_SECONDS)
        with theirs:
            self.process = subprocess.Popen(
                [*PYTHON, "worker.child.fork_server", str(theirs.fileno()), what, ROOM],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=environment,
                cwd=os.sep,
            )
        self._is_ready = False

    @property
    def is_ready(self) -> bool:
        """Whether it has imported all, so that it answers at once."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not self._is_ready and poll.poll(0):
            with suppress(ConnectionError):
                self._is_ready = self._control.recv(len(READY)) == READY
        return self._is_ready

    def fork(self, request: bytes, descriptors: Sequence[int]) -> Adopted:
        """Raises `NoForkServer` where it is gone."""
        try:
            socket.send_fds(self._control, [request], descriptors)
            number = int(self._control.recv(64) or 0)
        except (ConnectionError, TimeoutError) as error:
            raise NoForkServer from error
        if number == 0:
            raise NoForkServer
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return Adopted(number)

    def close(self) -> None:
        self._control.close()
        self.process.kill()
        self.process.wait()


_servers: dict[tuple[object, ...], _Server] = {}
_useless: list[NotOurs] = []
"""Why nothing is to be expected of servers here."""


def prepare(what: str, environment: Mapping[str, str]) -> None:
    """Have a server for later children, unless there is one or there is no use for it."""
    for known, server in [*_servers.items()]:
        if known[0] == os.getpid() and server.process.poll() is not None:
            del _servers[known]
            server.close()
    if (key := _key(what, environment)) not in _servers and not _useless:
        with suppress(OSError):
            _servers[key] = _Server(what, environment)


def fork(what: str, folder: Path, environment: Mapping[str, str], descriptors: Sequence[int]) -> Adopted:
    """Have a child begin as `worker.child`, with `folder` for its home, and these for stdin, stdout, stderr, messages.

    Raises `NoForkServer`, also where one is still importing, and `OSError` where there is no such folder, or no room
    for a process more.
    """
    folder.stat()
    adopt_strays()
    key = _key(what, environment)
    server = _servers.get(key)
    if server is None or not server.is_ready:
        raise NoForkServer
    try:
        request = {"folder": str(folder), "environment": dict(environment)}
        return server.fork(json.dumps(request).encode(), descriptors)
    except BaseException as error:  # whatever it answers later is not for who asks next
        _servers.pop(key).close()
        if isinstance(error, NotOurs):
            _useless.append(error)
        raise


def _key(what: str, environment: Mapping[str, str]) -> tuple[object, ...]:
    shared = frozenset((name, value) for name, value in environment.items() if name not in OWN)
    return os.getpid(), what, shared


def servers() -> set[int]:
    """The processes that are fork servers of this one."""
    return {
        server.process.pid
        for (owner, *_), server in _servers.items()
        if owner == os.getpid() and server.process.poll() is None
    }


@atexit.register
def end_servers() -> None:
    """They would end by themselves, but later than this process."""
    for (owner, *_), server in _servers.items():
        if owner == os.getpid():
            server.close()
