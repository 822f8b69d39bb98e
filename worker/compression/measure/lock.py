"""One timed measurement at a time per machine: two at once would slow each other down."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from worker.compression.progress import Progress

log = logging.getLogger(__name__)

PATH_VARIABLE = "WINNOW_MEASURE_LOCK"


def lock_path() -> Path:
    """A file in the system's temporary folder, which all users share, unless the variable names another."""
    return Path(os.environ.get(PATH_VARIABLE) or Path(tempfile.gettempdir()) / "winnow-measure.lock")


@contextmanager
def measuring(progress: Progress) -> Iterator[None]:
    """Hold the machine's lock. Where its file cannot be opened, says so in the progress log and goes on without."""
    lock = FileLock(lock_path(), mode=0o666)
    try:
        held = _acquire(lock, progress)
    except OSError as error:
        log.warning("no measuring lock: %s", error)
        progress.log(f"measuring without the machine's lock ({error.strerror})", "warning")
        held = False
    try:
        yield
    finally:
        if held:
            lock.release()


def _acquire(lock: FileLock, progress: Progress) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress.log("waiting for another measurement")
        lock.acquire(poll_interval=0.1)
    return True
