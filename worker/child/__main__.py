"""`python -m worker.child SPEC.json FD`: guard, sandbox, work, and one last message with what came of it."""

import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from app.contract.errors import Refusal
from worker.child import guard, sandbox
from worker.child.spec import Advanced, Done, Logged, Refused, Spec, StepBegun, Task
from worker.child.work import perform

OUT_OF_MEMORY_WORDS = ("bad_alloc", "failed to allocate", "cannot allocate memory", "can't allocate memory")


class Told:
    """Progress as JSON lines on the pipe to the worker."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "wb", buffering=0)

    def send(self, message: StepBegun | Advanced | Logged | Done | Refused) -> None:
        line = memoryview(message.model_dump_json().encode() + b"\n")
        while line:
            line = line[self._pipe.write(line) or 0 :]

    def step(self, index: int, kind: str) -> None:
        self.send(StepBegun(index=index, kind=kind))

    def advance(self, fraction: float) -> None:
        self.send(Advanced(fraction=fraction))

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.send(Logged.model_validate({"message": message, "level": level, "values": values}))


def main() -> None:
    spec = Spec.model_validate_json(Path(sys.argv[1]).read_bytes())
    descriptor = int(sys.argv[2])
    guard.fork_under_guard(spec.parent)
    os.set_inheritable(descriptor, False)  # the library's own subprocesses must not hold the pipe open
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    limits = spec.limits
    sandbox.enter(
        memory_bytes=limits.memory_bytes, mapped_bytes=limits.mapped_bytes, file_bytes=limits.mapped_bytes
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
        return Refused(problem=problem_of(error, task).problem)


def problem_of(error: BaseException, task: Task) -> Refusal:
    """The traceback stays with the operator; the user learns what was being done and the kind of error."""
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in OUT_OF_MEMORY_WORDS):
        return Refusal(
            "memory_limit_exceeded",
            "The work asked for more memory than its limit allows. Send a smaller model, smaller batches or "
            "shapes, or raise `limits.memory_bytes`.",
        )
    if isinstance(error, OSError) and error.errno == 28:
        return Refusal("disk_full", "The worker's disk is full. Ask the operator to free some, then retry.")
    name = type(error).__name__
    match task.kind:
        case "inspect_model":
            return Refusal(
                "invalid_model", f"The model could not be read ({name}). Check it with onnx.checker."
            )
        case "inspect_dataset":
            return Refusal(
                "invalid_dataset", f"The archive could not be read ({name}). Write it anew with numpy.savez."
            )
        case "compress":
            return Refusal(
                "step_failed",
                f"The job stopped on an unexpected error ({name}). Its details are in the operator's log under "
                "this job's id; leaving layers out with `exclude` may get around it.",
            )


if __name__ == "__main__":
    main()
