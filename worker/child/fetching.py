"""Bring what a child lacks of a dataset, in a thread: the store may be slow, and whoever waits has more to do."""

import errno
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path

from winnow.contract.errors import Refusal
from worker.child import problems
from worker.child.protocol import Ended, Fetched, Need, Refused
from worker.child.spec import Task

log = logging.getLogger(__name__)

Fetch = Callable[[Path, int, int], int]
"""(path, start, end): have these bytes in its file; how many came from the store for it.

Raises `KeyError` for what was not lent in ranges, `Refusal`, `OSError` where store or disk do not give it.
"""


def nothing_to_fetch(path: Path, start: int, end: int) -> int:
    """`Fetch` where all that is lent is there."""
    raise KeyError(path)


class Fetching:
    """One need at a time."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ranges")
        self._future: Future[int] | None = None
        self._begun = self._waited = 0.0

    def begin(self, need: Need) -> None:
        self._begun = time.monotonic()
        context = copy_context()
        self._future = self._thread.submit(context.run, self._fetch, need.path, need.start, need.end)

    def wait(self, seconds: float) -> bool:
        """Whether it is over."""
        assert self._future is not None
        return bool(wait([self._future], timeout=seconds).done)

    def fetched(self, task: Task) -> Fetched | Refused | Ended | None:
        """What to tell the child; None where the store is away."""
        assert self._future is not None
        future, self._future = self._future, None
        try:
            if future.result():
                self._waited += time.monotonic() - self._begun
        except KeyError as error:
            log.warning("a child asked for bytes of %s, which was not lent to it in ranges", error)
            return Ended(how="asked for what it may not have")
        except Refusal as refusal:
            return Refused(problem=refusal.problem)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return Refused(problem=problems.of(error, task))
            log.warning("a range of the data cannot be had from the store: %s", error)
            return None
        return Fetched()

    def seconds(self, now: float) -> float:
        """How long the work had to wait for the store, in all: no more than it takes to fetch its data once."""
        return self._waited + (0.0 if self._future is None else now - self._begun)

    def close(self) -> None:
        """Without waiting: what is still under way writes what is right, or nothing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
