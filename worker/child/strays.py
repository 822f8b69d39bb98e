"""Descendants that nobody waits for: those that left their session, or whose parents died.

A process that is their *subreaper* inherits them, whatever they did, and ends them.
"""

import logging
import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from worker.child import kernel

log = logging.getLogger(__name__)

END_SECONDS = 5.0
PAUSE_SECONDS = 0.002


def adopt_strays() -> None:
    """Become the parent of every descendant whose own parent dies (`PR_SET_CHILD_SUBREAPER`)."""
    with suppress(OSError):
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


def own_children() -> set[int]:
    return set(_children().get(os.getpid(), ()))


def end_descendants(spared: Collection[int] = ()) -> bool:
    """Kill all descendants but the children `spared` and what is below these; False when some outlive END_SECONDS.

    Whoever starts processes faster than they are killed is met again in the next round, until none is left.
    """
    deadline = time.monotonic() + END_SECONDS
    while remaining := descendants(spared):
        for process in remaining:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        for process in own_children().difference(spared):
            with suppress(OSError):
                os.waitpid(process, os.WNOHANG)
        if time.monotonic() > deadline:
            log.error("%d processes could not be ended: %s", len(remaining), remaining[:20])
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def descendants(spared: Collection[int] = (), above: int | None = None) -> list[int]:
    """All below a process, this one if none is named, but the children `spared` and what is below these."""
    children = _children()
    above = os.getpid() if above is None else above
    waiting = [child for child in children.get(above, ()) if child not in spared]
    below: list[int] = []
    while waiting:
        below.append(process := waiting.pop())
        waiting.extend(children.get(process, ()))
    return below


def _children() -> dict[int, list[int]]:
    """Parent → children, of all processes, those that have ended and were not waited for included."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    return children
