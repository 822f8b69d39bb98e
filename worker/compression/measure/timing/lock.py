"""Lock the machine for one timed measurement at a time: two at once would slow each other down.

Who is to be timed alone locks a second file as well, while it holds the first: meanwhile the workers of this machine
pause what else they have running. Nobody who is paused can hold the first.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from filelock import FileLock, Timeout

from winnow.contract.errors import Refusal
from worker.compression.measure.timing.lock_file import alone_path, lock_path, times_alone
from worker.compression.progress import Progress

log = logging.getLogger(__name__)

WAIT_VARIABLE = "WINNOW_MEASURE_WAIT_SECONDS"
WAIT_SECONDS = 1800.0


@contextmanager
def measuring(progress: Progress, wait_seconds: float | None = None) -> Iterator[None]:
    """Hold the machine's lock, waiting for it at most so many seconds, by itself those that the variable says. Where
    its file cannot be opened, says so in the progress log and goes on without.

    Raises `measuring_busy` when it is not to be had: beside another measurement no number would be true.
    """
    lock = FileLock(lock_path(), mode=0o600)
    try:
        lock_path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        usual = float(os.environ.get(WAIT_VARIABLE) or WAIT_SECONDS)
        held = _acquire(lock, progress, usual if wait_seconds is None else wait_seconds)
    except OSError as error:
        log.warning("no measuring lock: %s", error)
        progress.log(f"measuring without the machine's lock ({error.strerror})", "warning")
        held = False
    try:
        with _alone() if held and times_alone() else nullcontext():
            yield
    finally:
        if held:
            lock.release()


@contextmanager
def _alone() -> Iterator[None]:
    """Have others paused; goes on beside them where the file cannot be locked."""
    with ExitStack() as stack:
        try:
            fcntl.lockf(stack.enter_context(alone_path().open("r+b")), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.warning("nothing is paused: %s", error)
        yield


def _acquire(lock: FileLock, progress: Progress, seconds: float) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress.log(
            f"waiting for the measuring lock, {seconds:g} s at most: something else is measured here"
        )
        _wait(lock, seconds)
    return True


def _wait(lock: FileLock, seconds: float) -> None:
    try:
        lock.acquire(timeout=seconds, poll_interval=0.1)
    except Timeout:
        raise Refusal(
            "measuring_busy",
            f"Something else has been measured on the worker's machine for {seconds:g} s, and only one measurement at "
            "a time gives true numbers. Retry the job: it goes on after its last finished step. If it happens again, "
            "tell the operator.",
        ) from None
