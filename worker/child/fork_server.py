"""`python -m worker.child.fork_server FD WHAT …`: import what children need, then fork one for each request on FD.

    worker ─── fork server ─── (ends at once) ─── child, which the worker inherits (`strays.adopt_strays`)

What a child imports takes longer than many a job. Here that is done once: a child begins with the modules in memory,
their pages shared until they are written, and otherwise as one that was started by itself, as `worker.child`. A fork
server reads nothing that anybody has sent, has no threads but those that OpenBLAS ends at a fork, and ends when the
worker does, or after IDLE_SECONDS.

It says READY when all is imported. A request is JSON {"folder": …, "environment": {…}} with the descriptors of the
child's stdin, stdout, stderr and messages; the answer is the child's number, or minus an `errno`.
"""

import ctypes
import errno
import importlib
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final

from worker.child import __main__ as child
from worker.child import tasks
from worker.child.imports import import_on_use, uncollected
from worker.compression.measure.apart.parent import die_with_parent

PYTHON: Final = (sys.executable, "-P", "-s", "-m")
"""Runs a module. -P, -s: modules come from our code and its libraries, never from the folder that a child writes in."""
IDLE_SECONDS: Final = 60.0
ROOM: Final = "-" * 1000
"""The last argument: where a child writes its own."""
READY: Final = b"ready"
REQUEST_BYTES: Final = 2**17
WORK, LOAD = "work", "load"
MODULES: Final = {
    WORK: (
        "worker.child.messages",
        "worker.child.work",
        *(f"{tasks.__name__}.{module.name}" for module in iter_modules(tasks.__path__)),
    ),
    LOAD: ("worker.compression.measure.apart.fresh",),
}
"""By what the children are for: to work, or to load a model, which is done with little else in memory."""


def main() -> None:
    die_with_parent()
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    with uncollected():
        if sys.argv[2] == WORK:
            import_on_use()
        for name in MODULES[sys.argv[2]]:
            importlib.import_module(name)
    if (request := _serve(control)) is None:
        os._exit(0)
    _begin(*request)
    child.main()


def _serve(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return in each child with its request, and in the server when nobody asks any more."""
    control.settimeout(IDLE_SECONDS)
    with control, suppress(TimeoutError, ConnectionError):
        control.send(READY)
        while True:
            message, descriptors, *_ = socket.recv_fds(control, REQUEST_BYTES, 4)
            if not message:
                break
            if (number := _fork()) == 0:
                return json.loads(message), descriptors
            for each in descriptors:
                os.close(each)
            control.send(str(number).encode())
    return None


def _fork() -> int:
    """0 in the child, which leads a session of its own by then; its number, or minus an `errno`, in the server. What is
    between both ends at once."""
    reading, writing = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return -(error.errno or errno.EAGAIN)
    if between == 0:
        os.close(reading)
        _fork_on(writing)
        return 0
    os.close(writing)  # the end of whoever does not come to write ends the reading
    os.waitpid(between, 0)
    number = int(os.read(reading, 64) or -errno.EAGAIN)
    os.close(reading)
    return number


def _fork_on(writing: int) -> None:
    """Return in the child alone, which has told its number."""
    try:
        if os.fork() == 0:
            os.setsid()
            os.write(writing, str(os.getpid()).encode())
            os.close(writing)
            return
    except OSError as error:
        with suppress(OSError):
            os.write(writing, str(-(error.errno or errno.EAGAIN)).encode())
    os._exit(0)


def _begin(request: dict[str, Any], descriptors: list[int]) -> None:
    """Be as `spawn` would have started us; but for these variables the environment is the server's."""
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    *standard, messages = descriptors
    for ours, theirs in enumerate(standard):
        os.dup2(theirs, ours)
        os.close(theirs)
    sys.argv = ["worker.child", str(messages), request["folder"]]
    with suppress(OSError, ValueError, IndexError):
        _show([*PYTHON, *sys.argv])


def _show(arguments: list[str]) -> None:
    """Stand in the list of processes with these arguments."""
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    begin, end = int(fields[45]), int(fields[46])  # `arg_start` and `arg_end`, proc(5)
    line = b"\0".join(map(os.fsencode, arguments))[: end - begin - 1]
    if begin:
        ctypes.memmove(begin, line.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    main()
