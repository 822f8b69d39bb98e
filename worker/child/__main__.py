"""`python -m worker.child SPEC.json FD`: guard, sandbox, work, and one last message with what came of it."""

import faulthandler
import logging
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from app.contract.errors import Refusal
from worker.child import guard, problems, sandbox
from worker.child.landlock import Reach
from worker.child.spec import Advanced, Done, Logged, Refused, Spec, StepBegun, Task
from worker.child.work import perform


class Told:
    """Progress as JSON lines on the pipe to the worker, whole ones from whatever thread."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "wb", buffering=0)
        self._one_at_a_time = threading.Lock()

    def send(self, message: StepBegun | Advanced | Logged | Done | Refused) -> None:
        line = memoryview(message.model_dump_json(fallback=_plain).encode() + b"\n")
        with self._one_at_a_time:
            while line:
                line = line[self._pipe.write(line) or 0 :]

    def step(self, index: int, kind: str) -> None:
        self.send(StepBegun(index=index, kind=kind))

    def advance(self, fraction: float) -> None:
        self.send(Advanced(fraction=fraction))

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.send(Logged.model_validate({"message": message, "level": level, "values": values}))


def _plain(value: Any) -> Any:
    """Numbers of numpy, which nobody should have to convert in order to log them."""
    return value.item() if hasattr(value, "item") else str(value)


def main() -> None:
    spec = Spec.model_validate_json(Path(sys.argv[1]).read_bytes())
    descriptor = int(sys.argv[2])
    guard.fork_under_guard(spec.parent)
    os.set_inheritable(descriptor, False)  # the library's own subprocesses must not hold the pipe open
    faulthandler.enable()  # a segmentation fault says where, to the operator
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    limits = spec.limits
    sandbox.enter(
        memory_bytes=limits.memory_bytes,
        mapped_bytes=limits.mapped_bytes,
        file_bytes=limits.mapped_bytes,
        reach=Reach(),
        filtered=False,
    )
    told = Told(descriptor)
    told.send(_outcome(spec.task, told))


def _outcome(task: Task, told: Told) -> Done | Refused:
    try:
        return Done(result=perform(task, told))
    except Refusal as refusal:
        return Refused(problem=refusal.problem)
    except BaseException as error:  # whatever a library throws, the user gets a sentence
        traceback.print_exc()
        return Refused(problem=problems.of(error, task))


if __name__ == "__main__":
    main()
