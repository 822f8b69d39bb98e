"""Do a thing for many rows at once, by threads: decoders leave Python's lock while they work."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

MAX_THREADS: Final = 16
CHUNK: Final = 64
"""Rows that are waiting at most: a million of them are never all in the queue."""

THREADS_VARIABLE: Final = "WINNOW_THREADS"
"""How many this process was given."""

T = TypeVar("T")
R = TypeVar("R")


def usable_threads() -> int:
    """Count the threads that this process was given, else the cores that it may use; at most 16."""
    given = os.environ.get(THREADS_VARIABLE, "")
    return min(MAX_THREADS, int(given) if given.isdecimal() and int(given) else len(os.sched_getaffinity(0)))


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results in the order of the items; what the work raises is raised here, the first item's first."""
    waiting = list(items)
    threads = usable_threads()
    if len(waiting) < 2 or threads == 1:
        yield from map(work, waiting)
        return
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(waiting), CHUNK):
            yield from pool.map(work, waiting[start : start + CHUNK])
