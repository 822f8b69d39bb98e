"""How the work of a child can end, and who has it done.

Finished   it sent its result          Crashed   it ended without a word: a signal, an exit code
Failed     it sent, or earned, a       Stopped   the watch said so: cancelled, fenced, shutting down
           problem (also the limits)
"""

import contextlib
import os
import select
import signal
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from winnow.contract.errors import Problem
from worker.child.protocol import Note
from worker.child.spawn import Child, Guard

GUARD_SECONDS = 2.0

Reason = Literal["cancelled", "fenced", "shutdown", "store_away"]
"""The last is for who has the work done: the child does not know the store."""


class Watch(Protocol):
    """Whoever has the work done. Neither method may raise."""

    def note(self, note: Note) -> None: ...

    def tick(self) -> Reason | None:
        """Called every `supervise.TICK_SECONDS`. A reason stops the child."""


@dataclass(frozen=True)
class Finished:
    """`peak_bytes`: the most memory that was seen in use by all of its processes together."""

    result: dict[str, Any]
    peak_bytes: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Failed:
    problem: Problem


@dataclass(frozen=True)
class Crashed:
    how: str


@dataclass(frozen=True)
class Stopped:
    why: Reason


Ending = Finished | Failed | Crashed | Stopped


def kill_group(guard: Guard) -> None:
    """Before the guard is waited for, because until then its number cannot become another process's."""
    if guard.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()


def crash(child: Child) -> Crashed:
    """How the child ended without a word; the guard ends as the work did."""
    poll = select.poll()
    poll.register(child.ended, 0)
    ended = poll.poll(1000 * GUARD_SECONDS)
    kill_group(child.guard)
    code = child.guard.returncode or 0
    if not ended:
        return Crashed("its process closed its pipe and hung")
    return Crashed(
        f"its process ended with {signal.Signals(-code).name}"
        if code < 0
        else f"its process exited with {code}"
    )
