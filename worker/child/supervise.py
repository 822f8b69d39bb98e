"""Watch over the child until it ends, by itself or by us. No sleeping: everything waits on the pipes.

A child may start nothing. What has to be measured in a fresh process it asks for, and waits; we start a child more
for it, listen to that one meanwhile, and pass on the answer.
"""

import logging
import os
import select
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from pydantic import ValidationError

from worker.child import problems
from worker.child.endings import Crashed, Ending, Failed, Finished, Stopped, Watch, crash, kill_group
from worker.child.fetching import Fetch, Fetching, nothing_to_fetch
from worker.child.files import named_files
from worker.child.forking import servers
from worker.child.measuring import answer_of, start_measuring
from worker.child.memory import resident_bytes
from worker.child.pausing import Pausing
from worker.child.pipes import Lines, Outgoing
from worker.child.protocol import (
    FROM_CHILD,
    Advanced,
    Answer,
    Done,
    Ended,
    Kept,
    Logged,
    Measure,
    Need,
    Refused,
    StepBegun,
)
from worker.child.spawn import CHILD, Child, prepare_for_more, spawn
from worker.child.spec import Compress, Files, JudgeFinal, Limits, Measuring, Spec, Work
from worker.child.strays import adopt_strays, end_descendants, own_children

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
FROM_CHILD_BYTES = 64 * 2**20
STDERR_BYTES, STDERR_LINE_BYTES = 256 * 2**10, 8192


def supervise(
    task: Work,
    limits: Limits,
    folder: Path,
    watch: Watch,
    module: str = CHILD,
    *,
    shared: Sequence[Path] = (),
    filtered: bool = True,
    patience_seconds: float = 30.0,
    threads: int | None = None,
    fetch: Fetch = nothing_to_fetch,
) -> Ending:
    """Do the task in a child of its own, and what that child asks to have measured in further ones.

    It may write in `folder` and in the folders `shared`, and with `filtered` read nothing but the files of the task.
    What it lacks of a dataset `fetch` brings. A child that waits for an answer ends when this process is silent for
    `patience_seconds`. Each takes so many `threads`, but for what is timed with others.

    What measures works in folders beside it, `folder.name-*`: they are for who made `folder` to remove, because it
    can take longer than a lease lasts.

    When this returns, all of their processes have ended, also those that left their session or lost their parents.
    """
    adopt_strays()
    spec = Spec(
        parent=os.getpid(),
        task=task,
        limits=limits,
        files=Files(own=folder, shared=list(shared), lent=named_files(task)),
        filtered=filtered,
        patience_seconds=patience_seconds,
        alone=_is_judged(task),
    )
    name = f"{folder.parent.name}/{folder.name}"
    ending = _Supervision(task, limits, watch, name, threads, fetch).run(spec, module)
    if module == CHILD:
        prepare_for_more(folder, threads)
    return ending


def _is_judged(task: Work) -> bool:
    """Whether what it times is what somebody is told; a trial only estimates."""
    return isinstance(task, JudgeFinal) or (isinstance(task, Compress) and task.judging == "result")


class _Supervision:
    """Of one piece of work: its limits are for all its children together."""

    def __init__(
        self,
        work: Work,
        limits: Limits,
        watch: Watch,
        name: str,
        threads: int | None = None,
        fetch: Fetch = nothing_to_fetch,
    ) -> None:
        self._work, self._limits, self._watch, self._name = work, limits, watch, name
        self._threads, self._fetching = threads, Fetching(fetch)
        self._started = self._due = time.monotonic()
        self._others = own_children()
        self._guards: list[int] = []
        self._owed: list[Outgoing] = []
        self._logged = self._peak = 0
        self._over: Ending | None = None
        self._pausing = Pausing(name)

    def run(self, spec: Spec, module: str = CHILD) -> Ending:
        """Start a child, listen to it until it ends, end all that is left of it."""
        try:
            ending = self._attend(spawn(spec.files.own, module, self._threads), spec)
        finally:
            self._fetching.close()
        return replace(ending, peak_bytes=self._peak) if isinstance(ending, Finished) else ending

    def _attend(self, child: Child, spec: Spec) -> Ending:
        self._guards.append(child.guard.pid)
        try:
            return self._listen(child, spec)
        finally:
            self._guards.pop()
            kill_group(child.guard)
            end_descendants(spared=self._others.union(self._guards, servers()))
            child.close()

    def _listen(self, child: Child, spec: Spec) -> Ending:
        """The ending that was told, measured or asked for, or how the child crashed."""
        orders, stderr = Outgoing(child.orders), Lines(child.stderr, STDERR_LINE_BYTES)
        orders.add(spec.model_dump_json().encode())
        messages = Lines(child.messages, FROM_CHILD_BYTES)
        while (ending := self._over) is None:
            guard_ended = self._wait(child, orders, stderr)
            for line in (lines := messages.read()):
                if ending := self._hear(line, spec, orders):
                    break
            self._keep_log(stderr)
            if ending or messages.closed or (guard_ended and not lines):
                break
        ending = ending or crash(child)
        self._keep_log(stderr)
        return ending

    def _wait(self, child: Child, orders: Outgoing, stderr: Lines) -> bool:
        """Until the child says something, or the next look at the limits is due. Whether the guard has ended."""
        self._tick()
        if self._over is not None:
            return False
        poll = select.poll()
        poll.register(child.messages, select.POLLIN)
        if not stderr.closed:
            poll.register(child.stderr, select.POLLIN)
        if orders.waiting:
            poll.register(child.orders, select.POLLOUT)
        poll.register(child.ended, 0)  # its end only: whatever is written there is nobody's
        ready = poll.poll(1000 * max(0.0, self._due - time.monotonic()))
        if orders.waiting:
            orders.write()
        return child.ended.fileno() in (descriptor for descriptor, _ in ready)

    def _tick(self) -> None:
        if (now := time.monotonic()) >= self._due:
            self._due = now + TICK_SECONDS
            self._pausing.look(now, self._guards)
            self._over = self._over or self._look(now)
            for waiting in self._owed:
                waiting.keep_alive()

    def _look(self, now: float) -> Ending | None:
        if (reason := self._watch.tick()) is not None:
            return Stopped(reason)
        idle = self._pausing.seconds(now) + self._fetching.seconds(now)
        if now - self._started - idle > self._limits.seconds:
            return Failed(problems.too_long(self._work, self._limits.seconds))
        used = sum(map(resident_bytes, self._guards))
        self._peak = max(self._peak, used)
        if used > self._limits.memory_bytes:
            return Failed(problems.too_large(self._work, self._limits.memory_bytes, used))
        return None

    def _hear(self, line: bytes, spec: Spec, orders: Outgoing) -> Ending | None:
        try:
            message = FROM_CHILD.validate_json(line)
        except ValidationError:
            log.warning("%s: sent what is no message: %.200r", self._name, line)
            return None
        match message:
            case Done(result=result):
                return Finished(result)
            case Refused(problem=problem):
                return Failed(problem)
            case Measure() | Need() if orders.waiting:
                return Crashed("its process asked on and read no answer")
            case Need():
                return self._bring(message, orders)
            case Measure(task=task):
                self._owed.append(orders)
                answer = self._measure(task, spec)
                self._owed.pop().add(answer.model_dump_json().encode())
                return self._over
            case StepBegun() | Advanced() | Logged() | Kept():
                self._watch.note(message)
                return None
            case _:
                assert_never(message)

    def _bring(self, need: Need, orders: Outgoing) -> Ending | None:
        """In a thread: we go on to say that we are there, and to hear whether to stop."""
        self._owed.append(orders)
        try:
            self._fetching.begin(need)
            while self._over is None and not self._fetching.wait(max(0.0, self._due - time.monotonic())):
                self._tick()
        finally:
            self._owed.pop()
        if self._over is None:
            if (answer := self._fetching.fetched(self._work)) is None:
                self._over = Stopped("store_away")
            else:
                orders.add(answer.model_dump_json().encode())
        return self._over

    def _measure(self, task: Measuring, asking: Spec) -> Answer:
        """In a child of its own, which may read what the one that asks may read, and write elsewhere."""
        if self._over is not None:
            return Ended(how="was stopped")
        started = start_measuring(task, asking, self._threads, self._name)
        return answer_of(self._attend(*started)) if isinstance(started, tuple) else started

    def _keep_log(self, stderr: Lines) -> None:
        for line in stderr.read():
            if self._logged < STDERR_BYTES:
                log.info("%s: %s", self._name, line.decode(errors="replace"))
            self._logged += len(line)
