"""Start the child: a new session, four pipes, and an environment in which there is nothing to steal."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import IO, Protocol

from worker.child.fork_server import IDLE_SECONDS, PYTHON, WORK
from worker.child.forking import NoForkServer, fork, prepare
from worker.child.reach import OUR_CODE
from worker.compression.machine.threads import THREADS_VARIABLE
from worker.compression.measure.timing import quiet
from worker.compression.measure.timing.lock import WAIT_VARIABLE
from worker.compression.measure.timing.lock_file import (
    PATH_VARIABLE,
    alone_path,
    lock_path,
    process_timed_alone,
)

CHILD = "worker.child"
PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "VIRTUAL_ENV",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    WAIT_VARIABLE,
    quiet.WAIT_VARIABLE,
)
"""All that the child learns of our environment: no database, no broker, no keys."""
THREADS = (
    THREADS_VARIABLE,
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
"""What its libraries read: ours, torch, numpy, the tokenizers."""


_wanted: set[str] = set()
"""What children have been for."""
_last_end = -inf
"""When the last piece of work was over."""


class Guard(Protocol):
    """As much of `subprocess.Popen` as is asked of a guard."""

    pid: int
    returncode: int | None

    def wait(self) -> int | None: ...


@dataclass(frozen=True)
class Child:
    """`ended` is a pipe that the guard alone holds: it is closed when the guard has ended.

    What the work had started may hold `messages` and `stderr` open for longer.
    """

    guard: Guard
    orders: IO[bytes]
    messages: IO[bytes]
    stderr: IO[bytes]
    ended: IO[bytes]

    def close(self) -> None:
        for pipe in (self.orders, self.messages, self.stderr, self.ended):
            with suppress(OSError):
                pipe.close()


def spawn(folder: Path, module: str, threads: int | None = None, what: str = WORK) -> Child:
    """Start the child with `folder` as its home and scratch; its first order is its `Spec`. Its libraries take so many
    `threads`, or as they like; the worker's own variables win. `what` it is for, as a fork server has it.

    Its process group is led by the guard. Raises `OSError` where the system has no room for a process more.
    """
    environment = _environment(folder, threads)
    if module == CHILD:
        _wanted.add(what)
        with suppress(NoForkServer):
            return _on_pipes(partial(fork, what, folder, environment))
    return _on_pipes(partial(_start, module, folder, environment))


def _on_pipes(begin: Callable[[list[int]], Guard]) -> Child:
    """The child that begins with the other ends as its stdin, stdout, stderr and messages. A second try gets others:
    what may be left of the first must not hold its pipes."""
    ours: list[IO[bytes]] = []
    theirs: list[int] = []
    try:
        for child_reads in (True, False, False, False):
            reading, writing = os.pipe()
            theirs.append(reading if child_reads else writing)
            ours.append(os.fdopen(writing, "wb", 0) if child_reads else os.fdopen(reading, "rb", 0))
        guard = begin(theirs)
    except BaseException:
        for pipe in ours:
            pipe.close()
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    orders, ended, stderr, messages = ours
    return Child(guard, orders, messages, stderr, ended)


def _start(module: str, folder: Path, environment: dict[str, str], descriptors: list[int]) -> Guard:
    stdin, stdout, stderr, messages = descriptors
    return subprocess.Popen(
        [*PYTHON, module, str(messages), str(folder)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=[messages],
        start_new_session=True,
        env=environment,
        cwd=folder,
    )


def prepare_for_more(folder: Path, threads: int | None) -> None:
    """Behind a piece of work in this folder: have the imports of later children begin, where the piece before was not
    long ago, and nobody is timed alone."""
    global _last_end
    before, _last_end = _last_end, time.monotonic()
    if _last_end - before < IDLE_SECONDS and process_timed_alone() is None:
        environment = _environment(folder, threads)
        for what in _wanted:
            prepare(what, environment)


def _environment(folder: Path, threads: int | None) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"PYTHONPATH": str(OUR_CODE), "PYTHONUNBUFFERED": "1", "HOME": str(folder), "TMPDIR": str(folder)}
    own |= {"JOBLIB_MULTIPROCESSING": "0"}  # no processes
    named = {"USER": "winnow", "LOGNAME": "winnow"}  # who asks need not read /etc/passwd
    limits = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    return limits | passed | own | named | {PATH_VARIABLE: str(_measure_lock())}


def _measure_lock() -> Path:
    """The one that the worker named in its environment, else the user's.

    Made here, because the child may make no file where it lies, and for this user alone: others could hold it.
    """
    lock = lock_path()
    for file in (lock, alone_path()):
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return lock
