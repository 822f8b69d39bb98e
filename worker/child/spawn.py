"""Start the child: a new session, three pipes, and an environment in which there is nothing to steal."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from worker.child.reach import OUR_CODE
from worker.compression.machine.threads import THREADS_VARIABLE
from worker.compression.measure.timing import quiet
from worker.compression.measure.timing.lock import WAIT_VARIABLE
from worker.compression.measure.timing.lock_file import PATH_VARIABLE, alone_path, lock_path

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


@dataclass(frozen=True)
class Child:
    """`ended` is a pipe that the guard alone holds: it is closed when the guard has ended.

    What the work had started may hold `messages` and `stderr` open for longer.
    """

    guard: subprocess.Popen[bytes]
    orders: IO[bytes]
    messages: IO[bytes]
    stderr: IO[bytes]
    ended: IO[bytes]

    def close(self) -> None:
        for pipe in (self.orders, self.messages, self.stderr, self.ended):
            with suppress(OSError):
                pipe.close()


def spawn(folder: Path, module: str, threads: int | None = None) -> Child:
    """Start the child with `folder` as its home and scratch; its first order is its `Spec`. Its libraries take so many
    `threads`, or as they like; the worker's own variables win.

    Its process group is led by the guard. Raises `OSError` where the system has no room for a process more.
    """
    ours, theirs = os.pipe()
    messages = os.fdopen(ours, "rb", buffering=0)
    try:
        guard = subprocess.Popen(
            # -P, -s: modules come from our code and its libraries, never from the folder that the child writes in
            [sys.executable, "-P", "-s", "-m", module, str(theirs), str(folder)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs],
            start_new_session=True,
            env=_environment(folder, threads),
            cwd=folder,
        )
    except BaseException:
        messages.close()
        raise
    finally:
        os.close(theirs)
    assert guard.stdin is not None
    assert guard.stdout is not None
    assert guard.stderr is not None
    return Child(guard, guard.stdin, messages, guard.stderr, guard.stdout)


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
