"""`python -m worker.child FD`: guard, sandbox, work, and one last message with what came of it.

The specification is the first line of stdin; messages go to the descriptor FD.
"""

import faulthandler
import logging
import os
import sys
import traceback
from pathlib import Path

from app.contract.errors import Refusal
from worker.child import guard, problems, reach, sandbox
from worker.child.landlock import Reach
from worker.child.messages import Messages
from worker.child.spawn import MEASURE_LOCK
from worker.child.spec import Done, Files, Refused, Spec, Task
from worker.child.work import perform


def main() -> None:
    spec = Spec.model_validate_json(sys.stdin.buffer.readline())
    descriptor = int(sys.argv[1])
    guard.fork_under_guard(spec.parent)
    faulthandler.enable()  # a segmentation fault says where, to the operator
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    limits = spec.limits
    sandbox.enter(
        memory_bytes=limits.memory_bytes,
        mapped_bytes=limits.mapped_bytes,
        file_bytes=limits.mapped_bytes,
        reach=reach.always(_package(), cuda=sandbox.on_cuda()).joined(_reach(spec.files)),
        filtered=spec.filtered,
    )
    os.set_inheritable(descriptor, False)
    messages = Messages(sys.stdin.buffer, descriptor)
    messages.send(_outcome(spec.task, messages))


def _reach(files: Files) -> Reach:
    return Reach(
        readable=tuple(files.lent),
        changeable=(files.own, *files.shared),
        rewritable=(Path(os.environ[MEASURE_LOCK]),),
    )


def _package() -> str:
    """The package that this program was started from, which it may go on to import."""
    name = getattr(sys.modules["__main__"].__spec__, "name", "worker")
    return str(name).partition(".")[0]


def _outcome(task: Task, messages: Messages) -> Done | Refused:
    try:
        return Done(result=perform(task, messages))
    except Refusal as refusal:
        return Refused(problem=refusal.problem)
    except BaseException as error:  # whatever a library throws, the user gets a sentence
        traceback.print_exc()
        return Refused(problem=problems.of(error, task))


if __name__ == "__main__":
    main()
