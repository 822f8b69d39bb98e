"""Watch over the child until it ends, by itself or by us. No sleeping: everything waits on the pipes.

Finished   it sent its result          Crashed   it ended without a word: a signal, an exit code
Failed     it sent, or earned, a       Stopped   the watch said so: cancelled, fenced, shutting down
           problem (also the limits)
"""

import contextlib
import logging
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import psutil
from pydantic import ValidationError

from app.contract.errors import Problem
from worker.child import problems
from worker.child.spawn import Child, spawn
from worker.child.spec import MESSAGE, Done, Limits, Note, Refused, Spec, Task

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
GUARD_SECONDS = 2.0
MESSAGE_BYTES = 64 * 2**20
STDERR_BYTES = 256 * 2**10
CHUNK_BYTES, MOST_CHUNKS = 2**16, 32

Reason = Literal["cancelled", "fenced", "shutdown"]


class Watch(Protocol):
    """Whoever has the work done. Neither method may raise."""

    def note(self, note: Note) -> None: ...

    def tick(self) -> Reason | None:
        """Called every `TICK_SECONDS`. A reason stops the child."""


@dataclass(frozen=True)
class Finished:
    result: dict[str, Any]


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


def supervise(task: Task, limits: Limits, folder: Path, watch: Watch, module: str = "worker.child") -> Ending:
    """Do the task in a child of its own. When this returns, its whole process group has been killed."""
    child = spawn(Spec(parent=os.getpid(), task=task, limits=limits), folder, module)
    try:
        supervision = _Supervision(child, task, limits, watch, f"{folder.parent.name}/{folder.name}")
        ending = supervision.run() or _crash(child.guard)
        supervision.keep_log()
        return ending
    finally:
        _kill_group(child.guard)
        child.messages.close()
        child.stderr.close()


class _Supervision:
    def __init__(self, child: Child, task: Task, limits: Limits, watch: Watch, name: str) -> None:
        self._child, self._task, self._limits, self._watch, self._name = child, task, limits, watch, name
        self._messages, self._stderr = _Lines(child.messages, MESSAGE_BYTES), _Lines(child.stderr, 8192)
        self._started = time.monotonic()
        self._logged = 0

    def run(self) -> Ending | None:
        """The ending that was told, measured or asked for; None when the pipe closed without one."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.messages, selectors.EVENT_READ, self._hear)
            selector.register(self._child.stderr, selectors.EVENT_READ, self.keep_log)
            due = self._started
            while True:
                if (now := time.monotonic()) >= due:
                    due = now + TICK_SECONDS
                    if (ending := self._tick(now)) is not None:
                        return ending
                for key, _ in selector.select(max(0.0, due - time.monotonic())):
                    hear: Callable[[], Ending | None] = key.data
                    if (ending := hear()) is not None:
                        return ending
                    if self._stderr.closed and key.fileobj is self._child.stderr:
                        selector.unregister(self._child.stderr)
                if self._messages.closed:
                    return None

    def _tick(self, now: float) -> Ending | None:
        if (reason := self._watch.tick()) is not None:
            return Stopped(reason)
        if now - self._started > self._limits.seconds:
            return Failed(problems.too_long(self._task, self._limits.seconds))
        if (used := resident_bytes(self._child.guard.pid)) > self._limits.memory_bytes:
            return Failed(problems.too_large(self._task, self._limits.memory_bytes, used))
        return None

    def _hear(self) -> Ending | None:
        for line in self._messages.read():
            try:
                message = MESSAGE.validate_json(line)
            except ValidationError:
                log.warning("%s: sent what is no message: %.200r", self._name, line)
                continue
            match message:
                case Done(result=result):
                    return Finished(result)
                case Refused(problem=problem):
                    return Failed(problem)
                case _:
                    self._watch.note(message)
        return None

    def keep_log(self) -> None:
        for line in self._stderr.read():
            if self._logged < STDERR_BYTES:
                log.info("%s: %s", self._name, line.decode(errors="replace"))
            self._logged += len(line)


class _Lines:
    """Whole lines from a pipe. Of a line that is too long, the beginning is dropped."""

    def __init__(self, pipe: IO[bytes], limit: int) -> None:
        self._descriptor, self._limit, self._rest = pipe.fileno(), limit, b""
        os.set_blocking(self._descriptor, False)
        self.closed = False

    def read(self) -> list[bytes]:
        """What has come so far, or a part of it: whoever writes without end must not keep us here."""
        came = b"".join(islice(iter(self._chunk, b""), MOST_CHUNKS))
        *lines, self._rest = (self._rest + came).split(b"\n")
        self._rest = self._rest[-self._limit :]
        return lines

    def _chunk(self) -> bytes:
        try:
            chunk = os.read(self._descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return b""
        self.closed = not chunk
        return chunk


def resident_bytes(group: int) -> int:
    """Private resident memory of the guard and all below it. Pages of mapped files are the page cache's."""
    total = 0
    with contextlib.suppress(psutil.Error):
        guard = psutil.Process(group)
        for process in [guard, *guard.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                memory = process.memory_info()
                total += memory.rss - memory.shared
    return total


def _kill_group(guard: "subprocess.Popen[bytes]") -> None:
    """Before the guard is waited for, because until then its number cannot become another process's."""
    if guard.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()


def _crash(guard: "subprocess.Popen[bytes]") -> Crashed:
    descriptor = os.pidfd_open(guard.pid)
    ended, _, _ = select.select([descriptor], [], [], GUARD_SECONDS)
    os.close(descriptor)
    _kill_group(guard)
    code = guard.returncode
    if not ended:
        return Crashed("its process closed its pipe and hung")
    return Crashed(
        f"its process ended with {signal.Signals(-code).name}"
        if code < 0
        else f"its process exited with {code}"
    )
