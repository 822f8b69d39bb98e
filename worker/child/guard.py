"""The guard: a process with nothing to do but to take its whole group along.

    worker dies   → the kernel sends the guard SIGTERM (PR_SET_PDEATHSIG) → the guard kills the group
    guard dies    → the kernel kills the work; the worker, which waits for the guard, kills the group
    SIGTERM       → the guard kills the group

The work itself cannot do this: inside a long native call it hears no signal, and a SIGKILL to it would leave the
library's measuring processes behind. The guard sleeps in `waitpid` and hears everything at once.
"""

import contextlib
import os
import signal
from typing import NoReturn

from worker.child.sandbox import die_with_parent

UNUSUAL_EXIT = 70
"""The work ended in a way that the guard cannot repeat."""


def fork_under_guard(parent: int) -> None:
    """Return in the work; the guard stays behind, waits for it and ends the same way."""
    signal.signal(signal.SIGTERM, _kill_group)
    die_with_parent(signal.SIGTERM, parent)
    guard = os.getpid()
    if (work := os.fork()) != 0:
        _wait(work)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL, guard)


def _wait(work: int) -> NoReturn:
    """End as the work ended: the same exit code, or the same signal."""
    code = os.waitstatus_to_exitcode(os.waitpid(work, 0)[1])
    if code < 0:
        with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else UNUSUAL_EXIT)


def _kill_group(_signal: int, _frame: object) -> None:
    os.killpg(0, signal.SIGKILL)
