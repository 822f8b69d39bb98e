"""The guard: a process with nothing to do but to take along all that was started below it.

    worker dies   → the kernel sends the guard SIGTERM (PR_SET_PDEATHSIG) → the guard ends its descendants
    guard dies    → the kernel kills the work; the worker inherits what is left, and ends it
    SIGTERM       → the guard ends its descendants
    SIGURG        → the guard pauses its descendants, and lets them go on after PAUSE_SECONDS without another one
    SIGCONT       → the guard lets them go on
    work ends     → the guard ends what the work left behind, also what left the session, and ends the same way

The work itself cannot do this: inside a long native call it hears no signal, and a SIGKILL to it would leave behind
what it had started. The guard sleeps in `waitpid` and hears everything at once. It is never paused itself: it could not
hear that the worker has died.
"""

import contextlib
import os
import signal
from typing import NoReturn

from worker.child.strays import adopt_strays, descendants, end_descendants
from worker.compression.measure.apart.parent import die_with_parent

UNUSUAL_EXIT = 70
"""The work ended in a way that the guard cannot repeat."""
PAUSE, RESUME = signal.SIGURG, signal.SIGCONT
"""Neither harms a guard that is not ready for it yet."""
PAUSE_SECONDS = 3


def fork_under_guard(parent: int) -> None:
    """Return in the work; the guard stays behind, waits for it and ends the same way."""
    adopt_strays()
    signal.signal(signal.SIGTERM, _end_all)
    for signum, handler in HANDLERS.items():
        signal.signal(signum, handler)
    die_with_parent(signal.SIGTERM, parent)
    guard = os.getpid()
    if (work := os.fork()) != 0:
        _wait(work)
    for signum in (signal.SIGTERM, *HANDLERS):
        signal.signal(signum, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL, guard)


def _wait(work: int) -> NoReturn:
    """End as the work ended: the same exit code, or the same signal."""
    code = os.waitstatus_to_exitcode(os.waitpid(work, 0)[1])
    end_descendants()
    if code < 0:
        with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else UNUSUAL_EXIT)


def _end_all(_signal: int, _frame: object) -> None:
    end_descendants()
    os.killpg(0, signal.SIGKILL)


def _pause(_signal: int, _frame: object) -> None:
    signal.alarm(PAUSE_SECONDS)  # a worker that is frozen, too, must not hold up its work for longer
    _send(signal.SIGSTOP)


def _resume(_signal: int, _frame: object) -> None:
    signal.alarm(0)
    _send(signal.SIGCONT)


def _send(signum: signal.Signals) -> None:
    for process in descendants():
        with contextlib.suppress(OSError):
            os.kill(process, signum)


HANDLERS = {PAUSE: _pause, RESUME: _resume, signal.SIGALRM: _resume}
